"""The command line: arguments in, analysis out.

Exit codes: 0 done; 1 an error of the program (a traceback is shown); 2 input, options or configuration that cannot be used
(one line on stderr that names the culprit and the remedy); 130 interrupted.
"""

from .commands import app, main

__all__ = ["app", "main"]
