"""The last lines of a search: where everything lies, and what to try next."""

from collections import Counter
from functools import partial

from rich.console import Console

from tune_audio.machine.cached import KINDS, entries, human
from tune_audio.machine.folders import cache_folder
from tune_audio.run_folder import RunFolder
from tune_audio.space import list_spaces
from tune_audio.tracking.place import how_to_look


def say_where(run: RunFolder, space: str, console: Console, *, mlflow: bool) -> None:
    """Where everything of a search lies, and what to try next.

    space: the name of its space. mlflow: whether MLflow has it.
    """
    say = partial(console.print, soft_wrap=True, highlight=False)
    say(f"\nEverything of this search: {run.path}")
    say(f"  {run.leaderboard.name}, {run.best.name}, {run.space.name}, {run.database.name}")
    for folder in sorted(run.path.glob("retrain*")):
        say(f"  {folder.name}/FAMILY-N: models of the train split, and what they said of the test")
    cache, kept = cache_folder(), entries(cache_folder())
    of_kind = Counter({k: sum(e.size_bytes for e in kept if e.kind == k) for k in KINDS})
    largest = ", ".join(f"{kind} {human(size)}" for kind, size in of_kind.most_common(2) if size)
    say(f"In {cache}, for the next one: {human(of_kind.total())} ({largest})")
    say("Next:")
    say("  python -m tune_audio.cache --clear                          free that room")
    if mlflow:
        command, page = how_to_look()
        say(f"  {command:<57}   all runs, in a browser:")
        say(f"      {page}")
    say("  python -m tune_audio.predict latest/FAMILY FILE_OR_FOLDER   what a model hears")
    say("  python -m tune_audio.search --space own --data FOLDER       your own recordings")
    if others := [name for name in list_spaces() if name not in (space, "own")]:
        say(
            f"  python -m tune_audio.search --space {others[0]:<23} another of {len(others)} spaces"
        )
