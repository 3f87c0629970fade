"""The one error tree of the backend."""


class SfvError(Exception):
    """Say what is wrong, what is there and what to do; the text is shown to the user."""


class Cancelled(SfvError):
    """The user asked the work to stop; what was finished stays."""
