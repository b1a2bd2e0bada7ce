"""What a user did can be wrong; what we tell them then is one line and exit code 2."""

import click


class UserError(click.ClickException):
    """A mistake in what was given: where, what was given, what is allowed, what to do next.

    Shown by the command lines as one line, without a traceback, with exit code 2.
    """

    exit_code = 2
