"""The one error of the add-on."""


class AddonError(Exception):
    """Say what is wrong, what is there and what to do; the text is shown to the user."""
