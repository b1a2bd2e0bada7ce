"""What the command lines have in common: how they end when something is wrong."""

import sys
import traceback
from typing import NoReturn

import click

INTERRUPTED = 130  # the exit code of what Ctrl-C ended


def main(command: click.Command) -> NoReturn:
    """Run a click command: a user's mistake is one line and exit code 2, never a traceback.

    With --debug among the arguments, the traceback of any error is shown.
    """
    debug = "--debug" in sys.argv[1:]
    try:
        sys.exit(command.main(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        if debug:
            traceback.print_exc()
        else:
            error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        click.echo(f"Error: {type(error).__name__}: {reason} (--debug shows where)", err=True)
        sys.exit(1)
