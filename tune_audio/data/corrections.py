"""A person's decisions on recordings, laid over a data set that stays as it is.

A CSV with the columns file and label: a recording's name as audit.csv has it, and "drop" or the
label that it has instead (several of a multi-label data set with commas between them).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tune_audio.data.clips import Listing
from tune_audio.data.names import relative_name
from tune_audio.data.tables import read_rows
from tune_audio.errors import UserError
from tune_audio.escaping import as_cell, as_csv

KEEP, DROP = "keep", "drop"
COLUMNS = ("file", "label")
MOST_MISTAKES_SHOWN, MOST_LABELS_SHOWN = 3, 12


class Known:
    """The recordings and labels of a listing by their names as a CSV has them."""

    def __init__(self, listing: Listing, root: Path) -> None:
        self._listing, self._root = listing, root
        self._labels = {str(as_cell(label)): label for label in listing.labels}

    @cached_property
    def files(self) -> dict[str, Path]:
        paths = dict.fromkeys(clip.path for clip in self._listing.clips)
        return {str(as_cell(relative_name(path, self._root))): path for path in paths}

    @property
    def allowed(self) -> str:
        """The labels, told; the first few of many."""
        names = list(self._labels)
        return ", ".join(names[:MOST_LABELS_SHOWN]) + ", …" * (len(names) > MOST_LABELS_SHOWN)

    def labels(self, decision: str) -> tuple[str, ...]:
        """Of a decision that is no mistake: () for drop."""
        return (
            () if decision == DROP else tuple(self._labels[cell] for cell in self._split(decision))
        )

    def mistake(self, file: str, decision: str) -> str | None:
        """What is wrong with a recording's decision: keep, drop, or its labels."""
        if file not in self.files:
            return f"there is no recording {file!r}"
        if decision in (KEEP, DROP) and decision in self._labels:
            return f"{decision!r} is a label of these data, too; rename it to decide so"
        strange = [cell for cell in self._split(decision) if cell not in self._labels]
        if decision not in (KEEP, DROP) and strange:
            return f"{strange[0]!r} is no label and not {DROP}"
        return None

    def _split(self, decision: str) -> list[str]:
        if not self._listing.multi_label:
            return [decision]
        return [cell.strip() for cell in decision.split(",")]


def corrected(listing: Listing, root: Path, path: str) -> Listing:
    """The listing with the recordings of a CSV relabelled or dropped.

    Raises UserError for a file that is no such CSV, and for recordings and labels it does not know.
    """
    known = Known(listing, root)
    decisions = read_corrections(Path(path).expanduser().absolute(), known)
    labels = {known.files[file]: known.labels(decision) for file, decision in decisions.items()}
    clips = [replace(clip, labels=labels.get(clip.path, clip.labels)) for clip in listing.clips]
    return replace(listing, clips=tuple(clip for clip in clips if clip.labels))


def read_corrections(path: Path, known: Known) -> dict[str, str]:
    """Decisions, drop or labels, by the recordings' names as a CSV has them."""
    decisions: dict[str, str] = {}
    mistakes = []
    try:
        for line, row in read_rows(path, COLUMNS):
            file, decision = row["file"], row["label"].strip()
            mistake = known.mistake(file, decision)
            if mistake is None and decision == KEEP:
                continue
            if mistake is None and decisions.setdefault(file, decision) != decision:
                mistake = f"{file!r} has been {decisions[file]!r} above"
            mistakes += [f"line {line}: {mistake}"] if mistake else []
    except OSError as error:
        raise UserError(f"data.corrections: {path}: {error.strerror or error}") from None
    if mistakes:
        more = len(mistakes) - MOST_MISTAKES_SHOWN
        shown = "; ".join(mistakes[:MOST_MISTAKES_SHOWN]) + (f"; and {more} more" * (more > 0))
        raise UserError(f"data.corrections: {path}: {shown}. Labels are {known.allowed}.")
    return decisions


def corrections_csv(decisions: Mapping[str, str]) -> str:
    """What `read_corrections` reads."""
    return as_csv([COLUMNS, *sorted(decisions.items())])
