"""What the command lines have in common: options, the console, and how they end."""

import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.text import Text

from tune_audio.errors import UserError
from tune_audio.escaping import printable, printable_lines
from tune_audio.machine.error_stream import error_stream
from tune_audio.machine.signals import Signals

INTERRUPTED = 130  # what a command returns that Ctrl-C or a signal ended; see signals.py
LOG_COLUMNS = 150  # of a log or a pipe: as wide as the tables are

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
# Read by `main` from the arguments themselves, for it is to hold while they are read, too.
debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Change anything in the space, e.g. --set params.lr=1e-3,1e-4 or --set train.epochs=3.",
)
SPACE_OPTIONS = (
    click.option("--space", metavar="NAME|FILE", help="A space of search_spaces/, or a YAML file."),
    click.option("--data", metavar="FOLDER", help="Where the data set lies (data.root)."),
    click.option("--models", metavar="A,B", help="Only these families of the space."),
    click.option(
        "--checkpoint",
        "checkpoints",
        multiple=True,
        metavar="FAMILY=ID|FOLDER",
        help="Pretrained weights of a family: a hub id or a local folder.",
    ),
    click.option("--epochs", type=int, help="Epochs a trial (train.epochs)."),
    click.option("--trials", type=int, help="Trials a family (search.trials); not for a grid."),
    set_option,
)
retry_failed_option = click.option(
    "--retry-failed", is_flag=True, help="Run the configurations that failed once more."
)
cache_gb_option = click.option(
    "--cache-gb", type=float, help="Most that cached features, and decoded audio, may each take."
)

no_mlflow_option = click.option(
    "--no-mlflow", is_flag=True, help="Keep nothing in MLflow now; --resume without it keeps all."
)


def main(command: click.Command) -> NoReturn:
    """Run a click command: a user's mistake is one line and exit code 2, never a traceback.

    With --debug among the arguments, the traceback of any error is shown.
    """
    signals = Signals()
    signals.listen((0, 1, *error_stream.take()))
    code = _run(command, debug="--debug" in sys.argv[1:])
    signals.ignore()
    sys.exit(signals.exit_code if code == INTERRUPTED else code)


def _run(command: click.Command, *, debug: bool) -> int:
    """The exit code of a command; what it has raised is shown."""
    try:
        return command.main(standalone_mode=False) or 0
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        if debug:
            traceback.print_exc()
        else:
            vars(error)["message"] = printable_lines(error.message)  # it is not to be assigned
            error.show()
        return error.exit_code
    except OSError as error:
        if debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"Error: {place}{error.strerror or error} (--debug shows where)", err=True)
        return 1
    except Exception as error:
        if debug:
            raise
        reason = printable(" ".join(str(error).split())) or "no reason given"
        click.echo(f"Error: {type(error).__name__}: {reason} (--debug shows where)", err=True)
        return 1


def go_on(run: str, command: str = "search", overrides: Sequence[str] = ()) -> str:
    """The command that goes on with a run, as this one was started: here, or by `ray submit`.

    overrides: what --set was given, where the run does not know it.
    """
    given = [f"--resume {run}" if command == "search" else run]
    given += [f"--set {shlex.quote(override)}" for override in overrides]
    program, start = Path(sys.argv[0]), f"python -m tune_audio.{command}"
    if program.name == "tune-audio":
        start = f"tune-audio {command}"
    elif program.name == f"{command}.py" and program.parent.name != "tune_audio":  # Ray's copy
        start = f"ray submit CLUSTER.yaml tune_audio/{command}.py"
    return " ".join([start, *given])


def interrupted(console: Console, command: str) -> int:
    """Say which command goes on; what one returns that was interrupted."""
    console.print(f"\nInterrupted. Go on with: {command}", soft_wrap=True, highlight=False)
    return INTERRUPTED


class Terminal(Console):
    """A console that shows text as it is: no markup, no emoji codes, control characters escaped."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable_lines(text), **options)


def make_console() -> Console:
    """Standard output; a log or a pipe is as wide as the tables are."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=LOG_COLUMNS)


def space_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which space, and how it is changed."""
    for option in reversed(SPACE_OPTIONS):
        command = option(command)
    return command


def shorthands(data: str | None, epochs: int | None, trials: int | None) -> list[tuple[str, Any]]:
    """The options that are only a shorter way to say --set."""
    changes: list[tuple[str, Any]] = []
    if data is not None:
        changes.append(("data.root", str(Path(data).expanduser().absolute())))
    if epochs is not None:
        changes.append(("train.epochs", epochs))
    if trials is not None:
        changes.append(("search.trials", trials))
    return changes


def family_checkpoint(given: str) -> tuple[str, str]:
    """FAMILY=ID or FAMILY=FOLDER as (family, id or absolute path)."""
    family, equals, place = given.partition("=")
    if not equals:
        raise UserError(f"--checkpoint: got {given!r}, must be FAMILY=HUB_ID or FAMILY=FOLDER")
    folder = Path(place).expanduser().absolute()
    return family, str(folder) if folder.is_dir() else place
