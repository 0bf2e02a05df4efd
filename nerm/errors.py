"""The one exception for wrong input. Commands turn it into one sentence on stderr and exit code 2."""


class InputError(ValueError):
    """Something the user gave cannot be used. The message says what was given, what was expected and what to do."""
