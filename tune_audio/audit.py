"""Audit: recordings that may be labelled wrong or damaged, and what a person decides of them.

python -m tune_audio.audit RUN
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tune_audio.cli import (
    CONTEXT,
    cache_gb_option,
    debug_option,
    main,
    make_console,
    set_option,
)
from tune_audio.data.corrections import KEEP, Known, corrections_csv, read_corrections
from tune_audio.data.load import list_clips
from tune_audio.data.tables import read_rows
from tune_audio.driver import Driver, open_data
from tune_audio.errors import UserError
from tune_audio.escaping import as_csv
from tune_audio.findings import (
    KINDS,
    Finding,
    duplicates,
    flawed,
    in_order,
    predictions_of_best,
    wrong_labels,
)
from tune_audio.machine.folders import runs_folder
from tune_audio.machine.publish import publish_text
from tune_audio.run_folder import RunFolder
from tune_audio.space import SearchSpace, load_space
from tune_audio.space.parameters import dataset_parameters

COLUMNS = ("rank", "file", "kind", "reason", "label", "likely", "chance", "decision")
SHOWN = 10


@click.command(context_settings=CONTEXT)
@click.argument("run")
@click.option("--apply", "decided", metavar="FILE", help="Read the decisions in an audit.csv.")
@set_option
@cache_gb_option
@debug_option
def audit(
    run: str, decided: str | None, overrides: tuple[str, ...], cache_gb: float | None
) -> None:
    """List what may be wrong with the recordings of RUN (its name, its folder, or 'latest').

    Probably wrong labels by what the best trial of each family said of recordings that it was not
    trained on (needs cleanlab), silent, clipped and cut off recordings, and duplicates: audit.csv
    in RUN's folder. Its column decision is yours: keep, drop, or a label. --apply makes
    corrections.csv of it, which a new search takes; recordings are never changed.
    """
    folder, console = RunFolder.find(runs_folder(), run), make_console()
    space = load_space(str(folder.space), overrides)
    if decided is None:
        _list(folder, space, console, cache_gb)
    else:
        _apply(Path(decided).expanduser(), folder, space, console)


def _list(folder: RunFolder, space: SearchSpace, console: Console, cache_gb: float | None) -> None:
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    if folder.audit.exists() and any(row["decision"] for _, row in _rows(folder.audit)):
        raise UserError(
            f"{folder.audit} has decisions; make corrections of them with --apply, then move it "
            "away, to list anew"
        )
    if space.data.get("duplicates", "ignore") == "ignore":  # the corpus is the same
        space = replace(space, data={**space.data, "duplicates": "tell"})
    corpus = open_data(space, console, cache_gb)
    driver = Driver(folder, space, console, cache_gb, mlflow=False)
    with folder.locked():
        searched = driver.rank(driver.search_storage(corpus).records())
    found = [*flawed(corpus, Path(space.data["root"])), *duplicates(corpus)]
    predictions = predictions_of_best(searched, corpus, folder.trials)
    if predictions is None:
        say("Labels are not judged: no trial's predictions were kept.")
    else:
        try:
            found += wrong_labels(predictions, corpus)
        except UserError as error:  # cleanlab is not installed
            say(f"Labels are not judged: {error.message}")
        if not predictions.several:
            right = predictions.by_clip.score("val/accuracy")
            say(
                f"The models together agree with {right:.0%} of the labels: the fewer, the more of "
                "what they suspect is right."
            )
        if predictions.fold is None:
            say(
                f"Labels of the {len(predictions.by_clip.logits):,} recordings of validation can "
                "be judged, for models were trained on the others; a search with "
                "--set search.folds=5 judges all but those of the test."
            )
    found = in_order(found)
    publish_text(folder.audit, as_csv([COLUMNS, *_cells(found)]))
    console.print(_table(found))
    counts = Counter(one.kind for one in found)
    say(", ".join(f"{kind} {counts[kind]:,}" for kind in KINDS))
    say(f"Written to {folder.audit}: write keep, drop or a label in its last column, then")
    say(f"tune-audio audit {folder.name} --apply {folder.audit}")


def _cells(found: Sequence[Finding]) -> Iterator[tuple[object, ...]]:
    for rank, one in enumerate(found, start=1):
        chance = "" if one.chance is None else float(f"{one.chance:.4g}")
        yield rank, one.file, one.kind, one.reason, one.label, one.likely, chance, ""


def _table(found: Sequence[Finding]) -> Table:
    shown = min(SHOWN, len(found))
    table = Table(title=f"What may be wrong, {shown} of {len(found):,}")
    for column in ("rank", "file", "kind", "label", "likely", "reason"):
        table.add_column(column, justify="right" if column == "rank" else "left", overflow="fold")
    for rank, one in enumerate(found[:shown], start=1):
        table.add_row(str(rank), one.file, one.kind, one.label, one.likely, one.reason)
    return table


def _apply(path: Path, folder: RunFolder, space: SearchSpace, console: Console) -> None:
    """Write the decisions of `path`, together with those that the run had already."""
    data = space.data
    if data.get("root") is None:
        raise UserError("data.root: the space does not say where the data lie; give it by --set")
    root = Path(data["root"]).absolute()
    options = {name: data[name] for name in dataset_parameters(data["name"]) if name in data}
    known = Known(list_clips(data["name"], root, **options), root)
    decisions = _decisions(path, known)
    if data.get("corrections") is not None:
        decisions = read_corrections(Path(data["corrections"]), known) | decisions
    if not decisions:
        raise UserError(
            f"{path}: no decision changes anything; write drop or a label in the column decision"
        )
    publish_text(folder.corrections, corrections_csv(decisions))
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    say(f"{len(decisions):,} corrections, written to {folder.corrections}. Searched with by")
    say(f"tune-audio search --space {folder.space} --set data.corrections={folder.corrections}")


def _decisions(path: Path, known: Known) -> dict[str, str]:
    """What is not to be kept. Raises UserError with every mistake, by its line."""
    decisions: dict[str, str] = {}
    lines: dict[str, int] = {}
    mistakes = []
    for line, row in _rows(path):
        file, decision = row["file"], row["decision"].strip()
        if not decision:
            continue
        mistake = known.mistake(file, decision)
        if mistake is None and decision == KEEP:
            continue
        if mistake is None and decisions.setdefault(file, decision) != decision:
            mistake = f"{file!r} is {decisions[file]!r} in line {lines[file]}, here {decision!r}"
        lines.setdefault(file, line)
        mistakes += [f"line {line}: {mistake}"] if mistake else []
    if mistakes:
        raise UserError(
            f"{path}: {'; '.join(mistakes)}. A decision is keep, drop, or a label: {known.allowed}."
        )
    return decisions


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        yield from read_rows(path, ("file", "decision"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


if __name__ == "__main__":
    main(audit)
