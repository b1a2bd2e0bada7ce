"""Cache: what earlier searches have left on disk for later ones, and how to be rid of it.

python -m tune_audio.cache --clear --older-than 30d
"""

import re

import click
from rich.table import Table

from tune_audio.cli import CONTEXT, debug_option, main, make_console
from tune_audio.errors import UserError
from tune_audio.machine.cached import KINDS, Entry, age, entries, human, remove
from tune_audio.machine.folders import cache_folder

WHAT = {
    "features": "outputs of frozen stages",
    "corpora": "decoded audio",
    "duplicates": "recordings that belong together",
    "synthetic": "audio made for demonstrations",
    "measurements": "what trials take of a GPU",
    "datasets": "downloaded archives",
    "pretrained": "weights brought from another host",
}
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@click.command(context_settings=CONTEXT)
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("--clear", is_flag=True, help="Remove them; data sets only where KIND names them.")
@click.option("--older-than", metavar="AGE", help="Only what was not used for so long: 12h, 30d.")
@debug_option
def cache(kinds: tuple[str, ...], clear: bool, older_than: str | None) -> None:
    """Show what lies in the cache, or clear it.

    KIND is features, corpora, duplicates, synthetic, measurements or datasets. All of it is made
    or fetched again when it is needed; what a running search reads stays.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"KIND: got {kind!r}; allowed are {', '.join(KINDS)}")
    least = _seconds(older_than) if older_than else 0.0
    console, folder = make_console(), cache_folder()
    there = [entry for entry in entries(folder, kinds or KINDS) if age(entry) >= least]
    if not clear:
        console.print(_table(there, f"{folder}: {human(sum(e.size_bytes for e in there))}"))
        return
    chosen = [entry for entry in there if kinds or entry.kind != "datasets"]
    removed = [entry for entry in chosen if remove(entry)]
    freed = human(sum(entry.size_bytes for entry in removed))
    console.print(f"Removed {len(removed)} of {len(there)} entries, {freed}, from {folder}")
    if len(removed) < len(chosen):
        console.print(f"{len(chosen) - len(removed)} are in use by a search that is running")
    if len(chosen) < len(there):
        console.print("Downloaded archives stay; to remove them: tune-audio cache datasets --clear")


def _table(there: list[Entry], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("kind", "what", "entries", "size", "last used"):
        table.add_column(column, justify="right" if column in ("entries", "size") else "left")
    for kind in KINDS:
        of_kind = [entry for entry in there if entry.kind == kind]
        size = human(sum(entry.size_bytes for entry in of_kind))
        table.add_row(kind, WHAT[kind], str(len(of_kind)), size, _ago(of_kind))
    return table


def _ago(of_kind: list[Entry]) -> str:
    if not of_kind:
        return ""
    latest = min(map(age, of_kind))
    for unit, seconds in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if latest >= 2 * seconds:
            return f"{latest / seconds:.0f} {unit} ago"
    return "just now"


def _seconds(given: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", given.strip())
    if not match:
        raise UserError(
            f"--older-than: got {given!r}; give minutes, hours, days or weeks: 12h, 30d"
        )
    return float(match[1]) * UNITS[match[2]]


if __name__ == "__main__":
    main(cache)
