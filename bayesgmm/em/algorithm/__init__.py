"""One run of EM from given starts: steps, acceleration, stopping."""
