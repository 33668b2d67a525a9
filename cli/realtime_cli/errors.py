"""What ends a command with one line for people."""


class CliError(Exception):
    """The command can't go on; *status* is the exit status: 2 for wrong use, 1 for the world.

    An empty message: it has been said already, by a process that this one started.
    """

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UsageError(CliError):
    """Something was given that can't be used."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=2)
