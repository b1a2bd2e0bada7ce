"""Any folder of audio: a folder a class, with or without splits above, or a metadata.csv."""

import csv
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tune_audio.data.audio import audio_files, is_hidden, printable
from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.errors import UserError

METADATA = "metadata.csv"
NOISE_FOLDER = "_background_noise_"
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
LAYOUTS = (
    "Allowed are FOLDER/class/x.wav, FOLDER/{train,validation,test}/class/x.wav, "
    f"or a {METADATA} with the columns file_name,label[,split][,group]"
)
MOST_MISTAKES_SHOWN = 3


def folder(root: Path) -> Listing:
    """The clips of `root`, laid out in one of three ways; labels are in alphabetical order.

    `root/class/**/x.wav`; or the same below `root/train`, `root/validation` (valid, val, dev) and
    `root/test`; or `root/metadata.csv` with the columns file_name (relative to `root`), label and,
    where known, split and group (speaker). Recordings in `root/_background_noise_` are noise for
    augmentation. Raises UserError when none of these fits.
    """
    clips = _from_metadata(root) if (root / METADATA).is_file() else _from_folders(root)
    labels = sorted({clip.labels[0] for clip in clips})
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no audio in class folders"
        raise UserError(f"data.root: {root} has {found}; two classes are needed. {LAYOUTS}.")
    noise = root / NOISE_FOLDER
    return Listing(
        clips=tuple(clips),
        labels=tuple(labels),
        noise=tuple(audio_files(noise)) if noise.is_dir() else (),
    )


def _from_folders(root: Path) -> list[Clip]:
    classes = list(_class_folders(root))
    in_splits = [path for path in classes if path.name.lower() in SPLIT_FOLDERS]
    if not any(SPLIT_FOLDERS[path.name.lower()] == "train" for path in in_splits):
        return _class_clips(classes, split=None)
    if others := [printable(path.name) for path in classes if path not in in_splits]:
        raise UserError(
            f"data.root: {root} has {', '.join(others)} beside {in_splits[0].name}: "
            f"are these classes or splits? {LAYOUTS}."
        )
    return [
        clip
        for path in in_splits
        for clip in _class_clips(list(_class_folders(path)), SPLIT_FOLDERS[path.name.lower()])
    ]


def _class_folders(parent: Path) -> Iterator[Path]:
    own = parent.resolve()
    for path in sorted(parent.iterdir()):
        if is_hidden(path.name) or path.name == NOISE_FOLDER or not path.is_dir():
            continue
        # A link to a folder above would make a class of everything.
        if not own.is_relative_to(path.resolve()):
            yield path


def _class_clips(classes: Sequence[Path], split: str | None) -> list[Clip]:
    return [
        Clip(path, (_label(printable(folder.name)),), split=split)
        for folder in classes
        for path in audio_files(folder)
    ]


def _label(text: str) -> str:
    # macOS writes é as two characters and others as one; both are the same class.
    return unicodedata.normalize("NFC", text.strip())


def _from_metadata(root: Path) -> list[Clip]:
    clips, mistakes, line_of = [], [], {}
    for line, row in _read_rows(root / METADATA):
        name, label = row["file_name"].strip(), _label(row["label"])
        split = row.get("split", "").strip().lower()
        if mistake := _row_mistake(name, label, split):
            mistakes.append(f"line {line}: {mistake}")
        elif name in line_of:
            mistakes.append(f"line {line}: {name} stands in line {line_of[name]} already")
        line_of.setdefault(name, line)
        group = row.get("group", "").strip() or None
        clips.append(Clip(root / name, (label,), split=SPLIT_FOLDERS.get(split), group=group))
    if mistakes:
        shown = "; ".join(mistakes[:MOST_MISTAKES_SHOWN])
        more = len(mistakes) - MOST_MISTAKES_SHOWN
        raise UserError(f"{root / METADATA}: {shown}{f'; and {more} more' if more > 0 else ''}.")
    return clips


def _row_mistake(name: str, label: str, split: str) -> str | None:
    path = PurePosixPath(name)
    if not name or "\0" in name or path.is_absolute() or ".." in path.parts:
        return f"file_name {name!r} must be a path inside the folder"
    if not label:
        return "has no label"
    if split and split not in SPLIT_FOLDERS:
        return f"split {split!r}; allowed are {', '.join(SPLITS)}"
    return None


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row. Raises UserError for what is no such table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            columns = reader.fieldnames or []
            if missing := [name for name in ("file_name", "label") if name not in columns]:
                raise UserError(
                    f"{path}: no column {' and '.join(missing)}; it has "
                    f"{', '.join(columns) or 'none'}. Needed are file_name,label[,split][,group]."
                )
            for row in reader:
                yield reader.line_num, row
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV table: {error}.") from None
