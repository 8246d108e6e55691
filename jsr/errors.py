"""What can go wrong in a way that a person should read in one line."""


class UserError(Exception):
    """A mistake of the user's; its text is the one line that a front door prints. Exit code 2."""


class PartlyDone(Exception):
    """The rest is done, but not what the text names. Exit code 1."""
