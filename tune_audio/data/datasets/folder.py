"""Any folder of audio: a folder a class, with or without splits above, or a metadata.csv."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from annotated_types import Gt, Le

from tune_audio.data.audio_file import audio_files, is_hidden
from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.datasets.file_names import FileNames
from tune_audio.data.grouping import find_groups
from tune_audio.data.names import relative_name
from tune_audio.data.split import share_of_train
from tune_audio.data.tables import read_rows
from tune_audio.data.windows import HopSeconds, WindowSeconds, cut_windows
from tune_audio.errors import UserError
from tune_audio.escaping import printable

METADATA = "metadata.csv"
COLUMNS = "file_name,label[,split][,group]"
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
    f"or a {METADATA} with the columns {COLUMNS}"
)
MOST_MISTAKES_SHOWN = 3


def folder(
    root: Path,
    *,
    window_seconds: WindowSeconds | None = None,
    hop_seconds: HopSeconds | None = None,
    group_pattern: str | None = None,
    missing_split_share: Annotated[float, Gt(0), Le(0.5)] | None = None,
) -> Listing:
    """The clips of `root`, laid out in one of three ways; labels are in alphabetical order.

    `root/class/**/x.wav`; or the same below `root/train`, `root/validation` (valid, val, dev) and
    `root/test`; or `root/metadata.csv` with the columns file_name (relative to `root`), label and,
    where known, split and group (speaker). Recordings in `root/_background_noise_` are noise for
    augmentation.

    `window_seconds` cuts recordings into windows that start every `hop_seconds` (None: half a
    window); data.clip_seconds must be a window's length. `group_pattern` is a regular expression
    whose group 1, searched in a file's path below `root`, names the speaker or the source; of one
    group no clips are in two splits, and a file that it does not fit is a group of its own. Where
    only the validation or only the test folder is missing, `missing_split_share` of the training
    clips take its place, and known groups do so whole. Raises UserError when no layout fits.
    """
    if hop_seconds is not None and window_seconds is None:
        raise UserError("data.hop_seconds: needs data.window_seconds, the length of a window.")
    clips = _from_metadata(root) if (root / METADATA).is_file() else _from_folders(root)
    labels = sorted({clip.labels[0] for clip in clips})
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no audio in class folders"
        raise UserError(f"data.root: {root} has {found}; two classes are needed. {LAYOUTS}.")
    if group_pattern is not None:
        clips = _grouped(clips, root, group_pattern)
    if window_seconds is not None:
        clips = cut_windows(clips, window_seconds, hop_seconds)
    drawn = None
    if missing_split_share is not None:
        drawn, clips = _complete_split(clips, root, missing_split_share)
    noise = root / NOISE_FOLDER
    return Listing(
        clips=tuple(clips),
        labels=tuple(labels),
        noise=tuple(audio_files(noise)) if noise.is_dir() else (),
        windows=window_seconds is not None,
        whole_groups=group_pattern is not None,
        drawn=drawn,
    )


def _grouped(clips: Sequence[Clip], root: Path, pattern: str) -> list[Clip]:
    names = [relative_name(clip.path, root) for clip in clips]
    groups = find_groups(names, pattern)
    if not any(groups):
        raise UserError(
            f"data.group_pattern: {pattern!r} fits no file; the first is {printable(names[0])}."
        )
    return [
        replace(clip, group=group or name)
        for clip, group, name in zip(clips, groups, names, strict=True)
    ]


def _complete_split(clips: list[Clip], root: Path, share: float) -> tuple[str, list[Clip]]:
    """The missing split, and the clips of which some are in it now."""
    missing = set(SPLITS) - {clip.split for clip in clips}
    if len(missing) != 1 or missing == {"train"}:
        raise UserError(
            f"data.missing_split_share: {len(missing)} of {', '.join(SPLITS)} are missing; it is "
            "for a folder that lacks either validation or test."
        )
    rows = [row for row, clip in enumerate(clips) if clip.split == "train"]
    training = [clips[row] for row in rows]
    names = [relative_name(clip.path, root) for clip in training]
    takes = share_of_train(training, names, share)
    (taken,) = missing
    if not takes.any():
        groups = len({clip.group or name for clip, name in zip(training, names, strict=True)})
        raise UserError(
            f"data.missing_split_share: at {share:g} {taken} takes none of the {groups} speakers, "
            "sources or recordings of train, which are kept whole; give a larger share (at most "
            f"0.5), or clips of your own for {taken}."
        )
    for row, clip, takes_it in zip(rows, training, takes, strict=True):
        if takes_it:
            clips[row] = replace(clip, split=taken)
    return taken, clips


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
        Clip(path, (_label(folder.name),), split=split)
        for folder in classes
        for path in audio_files(folder)
    ]


def _label(text: str) -> str:
    # macOS writes é as two characters and others as one; both are the same class.
    return unicodedata.normalize("NFC", printable(text.strip()))


def _from_metadata(root: Path) -> list[Clip]:
    clips, mistakes, names = [], [], FileNames("file_name")
    for line, row in read_rows(root / METADATA, ("file_name", "label"), COLUMNS):
        name, label = row["file_name"].strip(), _label(row["label"])
        split = row.get("split", "").strip().lower()
        if mistake := names.mistake(line, name) or _row_mistake(label, split):
            mistakes.append(f"line {line}: {mistake}")
        group = row.get("group", "").strip() or None
        clips.append(Clip(root / name, (label,), split=SPLIT_FOLDERS.get(split), group=group))
    if mistakes:
        shown = "; ".join(mistakes[:MOST_MISTAKES_SHOWN])
        more = len(mistakes) - MOST_MISTAKES_SHOWN
        raise UserError(f"{root / METADATA}: {shown}{f'; and {more} more' if more > 0 else ''}.")
    return clips


def _row_mistake(label: str, split: str) -> str | None:
    if not label:
        return "has no label"
    if split and split not in SPLIT_FOLDERS:
        return f"split {split!r}; allowed are {', '.join(SPLITS)}"
    return None
