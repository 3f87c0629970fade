"""The one error tree of the package."""


class RetargetError(Exception):
    """Say what is wrong, what is there and what to do; the text is shown to the user."""
