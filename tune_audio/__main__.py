"""tune-audio COMMAND: the same as python -m tune_audio.COMMAND, whatever the working directory."""

from pkgutil import resolve_name

import click

from tune_audio import __version__
from tune_audio.cli import CONTEXT, main

# A command NAME is the function NAME in NAME.py, imported when it is asked for.
COMMANDS = {
    "search": "Find the best audio classifier for labelled audio.",
    "plan": "Measure what a search would take, before it runs.",
    "retrain": "Retrain the best of a search, and test each once.",
    "predict": "Say what a model hears in recordings.",
    "audit": "List recordings that may be labelled wrong or damaged.",
    "thresholds": "Tune when a model says unknown or silence.",
    "watch": "See how far a search in the background is.",
    "cache": "Show what lies in the cache, or clear it.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return resolve_name(f"tune_audio.{cmd_name}:{cmd_name}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="tune-audio")
def commands() -> None:
    """Find the best audio classifier for your labelled audio."""


def run() -> None:
    """What the console script starts."""
    main(commands)


if __name__ == "__main__":
    run()
