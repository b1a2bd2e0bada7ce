"""FSD50K: 51,197 Freesound clips, 200 labels of AudioSet's ontology (Fonseca et al. 2020,
arXiv:2010.00475)."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.datasets.download import fetch_archives
from tune_audio.data.datasets.file_names import FileNames
from tune_audio.data.names import hash64, relative_name
from tune_audio.data.split import assign_splits
from tune_audio.data.tables import read_rows
from tune_audio.errors import UserError

TRUTH = "FSD50K.ground_truth"
# Of a table: the folder with its recordings and what its column `split` may say
TABLES = {
    "dev.csv": ("FSD50K.dev_audio", {"train": "train", "val": "validation"}),
    "eval.csv": ("FSD50K.eval_audio", {"": "test"}),
}
SLIM_LABELS = ("Music", "Human_voice", "Animal", "Vehicle", "Water")
SLIM_CLIPS_PER_LABEL = 2_100
SLIM_SPLIT = (0.65, 0.15, 0.20)

PAGE = "https://zenodo.org/records/4060432"
# As the record lists them; the parts of an archive in order
MD5 = (
    {
        "FSD50K.dev_audio.z01": "faa7cf4cc076fc34a44a479a5ed862a3",
        "FSD50K.dev_audio.z02": "8f9b66153e68571164fb1315d00bc7bc",
        "FSD50K.dev_audio.z03": "1196ef47d267a993d30fa98af54b7159",
        "FSD50K.dev_audio.z04": "d088ac4e11ba53daf9f7574c11cccac9",
        "FSD50K.dev_audio.z05": "81356521aa159accd3c35de22da28c7f",
        "FSD50K.dev_audio.zip": "c480d119b8f7a7e32fdb58f3ea4d6c5a",
    },
    {
        "FSD50K.eval_audio.z01": "3090670eaeecc013ca1ff84fe4442aeb",
        "FSD50K.eval_audio.zip": "6fa47636c3a3ad5c7dfeba99f2637982",
    },
    {"FSD50K.ground_truth.zip": "ca27382c195e37d2269c4c866dd73485"},
)


def download(folder: Path) -> Path:
    """FSD50K (25 GB, and as much again while it is unpacked) in a folder of `folder`.

    Raises UserError.
    """
    archives = [
        [(f"{PAGE}/files/{name}", f"md5:{md5}") for name, md5 in parts.items()] for parts in MD5
    ]
    return fetch_archives(archives, folder, "FSD50K", page=PAGE)


def fsd50k(root: Path, *, slim: bool = False) -> Listing:
    """The multi-label clips of FSD50K.{dev,eval}_audio, ancestors' labels included.

    The official split: train and validation as dev.csv says, test is the evaluation set. Clips
    last 0.3 to 30 s: data.clip_seconds pads with zeros and cuts to the centre.

    With `slim` the single-label set of report D: the clips of both sets that have exactly one of
    Music, Human_voice, Animal, Vehicle and Water, 2,100 of each where there are so many, split
    65 / 15 / 20 %. The report does not name them; here a hash of the file name draws and splits.

    Raises UserError for a folder laid out otherwise.
    """
    for name in (TRUTH, *(folder for folder, _ in TABLES.values())):
        if not (root / name).is_dir():
            raise UserError(
                f"data.root: {root} has no folder {name}. Give the folder in which FSD50K's "
                f"archives were unpacked ({PAGE})."
            )
    labels = _vocabulary(root / TRUTH / "vocabulary.csv")
    clips = [clip for name in TABLES for clip in _clips(root, name, labels)]
    if slim:
        return Listing(tuple(_slim(clips, root)), SLIM_LABELS)
    return Listing(tuple(clips), tuple(labels), multi_label=True)


def _clips(root: Path, table: str, labels: dict[str, int]) -> Iterator[Clip]:
    folder, splits = TABLES[table]
    path = root / TRUTH / table
    columns = ("fname", "labels") if "" in splits else ("fname", "labels", "split")
    files = FileNames("fname")
    for line, row in read_rows(path, columns):
        if mistake := files.mistake(line, row["fname"]):
            raise UserError(f"{path}: line {line}: {mistake}.")
        names = tuple(row["labels"].split(","))
        if strange := [name for name in names if name not in labels]:
            raise UserError(f"{path}: line {line}: {strange[0]!r} is not in vocabulary.csv.")
        if (split := row.get("split", "")) not in splits:
            raise UserError(
                f"{path}: line {line}: split {split!r}; allowed are {', '.join(splits)}."
            )
        yield Clip(root / folder / f"{row['fname']}.wav", names, split=splits[split])


def _vocabulary(path: Path) -> dict[str, int]:
    """Label to its index, from a table without a header: index,label,mid."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path} is not a CSV table in UTF-8 text; unpack it again.") from None
    if not rows or any(len(row) != 3 or not row[0].isdecimal() for row in rows):
        raise UserError(f"{path}: needed are rows of index,label,mid without a header.")
    return {label: int(index) for index, label, _ in sorted(rows, key=lambda row: int(row[0]))}


def _slim(clips: list[Clip], root: Path) -> list[Clip]:
    by_label: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        of_five = set(clip.labels).intersection(SLIM_LABELS)
        if len(of_five) == 1:
            by_label[label := of_five.pop()].append(replace(clip, labels=(label,)))
    if missing := [label for label in SLIM_LABELS if label not in by_label]:
        raise UserError(f"data.slim: no clip of {root} has {missing[0]} as its only one of five.")
    drawn = []
    for label in SLIM_LABELS:
        ranked = sorted(by_label[label], key=lambda clip: hash64(relative_name(clip.path, root)))
        drawn += ranked[:SLIM_CLIPS_PER_LABEL]
    names = [relative_name(clip.path, root) for clip in drawn]
    parts = assign_splits(drawn, names, split=SLIM_SPLIT)
    return [replace(clip, split=SPLITS[part]) for clip, part in zip(drawn, parts, strict=True)]
