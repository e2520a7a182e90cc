"""The one exception for data or options that the user can put right."""


class InputError(ValueError):
    """Bad input by the user.

    The message is one line: it names the culprit (column, row, file or option) and the remedy, so that the
    command line can print it as it stands.
    """
