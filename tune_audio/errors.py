"""What a user did can be wrong; what we tell them then is one line and exit code 2."""

import click


class UserError(click.ClickException):
    """A mistake in what was given: where, what was given, what is allowed, what to do next.

    Shown by the command lines as one line, without a traceback, with exit code 2.
    """

    exit_code = 2


class SurroundingsError(UserError):
    """What was asked for is right, but something it needs is not there or does not answer.

    A file that is gone, a full disk, a host or a hub that cannot be reached: once that is mended
    the same may be tried again. Shown as one line, too, with exit code 1.
    """

    exit_code = 1
