"""Watch: what a search that was started with --detach says, from its beginning to its end.

python -m tune_audio.watch RUN
"""

import time

import click

from tune_audio.cli import CONTEXT, debug_option, main
from tune_audio.detach import POLL_SECONDS, tell
from tune_audio.errors import UserError
from tune_audio.machine.folders import runs_folder
from tune_audio.run_folder import LATEST, RunFolder


@click.command(context_settings=CONTEXT)
@click.argument("run", default=LATEST)
@debug_option
def watch(run: str) -> int:
    """See how far RUN is (its name, its folder, or 'latest'), until it ends or Ctrl-C.

    Ctrl-C ends the watching, not the search.
    """
    folder = RunFolder.find(runs_folder(), run)
    if not folder.log.exists():
        raise UserError(
            f"{folder.path}: was not started with --detach; what it says is where it was started"
        )
    said = 0
    while folder.is_locked():
        said = tell(folder.log, said)
        time.sleep(POLL_SECONDS)
    tell(folder.log, said)
    return 0


if __name__ == "__main__":
    main(watch)
