"""ESC-50 and ESC-10: five-second recordings of everyday sounds (Piczak 2015,
doi:10.1145/2733373.2806390)."""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from tune_audio.data.clips import Clip, Listing
from tune_audio.data.datasets.download import fetch_archives
from tune_audio.data.datasets.file_names import FileNames
from tune_audio.data.tables import read_rows
from tune_audio.data.windows import HopSeconds, WindowSeconds, window_starts
from tune_audio.errors import UserError

META = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
FOLDS = 5
CLIP_SECONDS = 5.0

PAGE = "https://github.com/karolpiczak/ESC-50"
# GitHub compresses the repository anew from time to time, so its archive has had five checksums at
# least. This copy, PaddleSpeech's, does not change; soundata lists the same MD5 for GitHub's.
URL = "https://paddleaudio.bj.bcebos.com/datasets/ESC-50-master.zip"
CHECKSUM = "md5:7771e4b9d86d0945acce719c7a59305a"


def download(folder: Path) -> Path:
    """ESC-50 (0.6 GB), unpacked in a folder of `folder`. Raises UserError."""
    return fetch_archives([[(URL, CHECKSUM)]], folder, "ESC-50", page=PAGE) / "ESC-50-master"


def esc50(
    root: Path,
    *,
    esc10: bool = False,
    test_fold: Annotated[int, Ge(1), Le(FOLDS)] = 5,
    validation_fold: Annotated[int, Ge(1), Le(FOLDS)] = 4,
    window_seconds: Annotated[WindowSeconds, Le(CLIP_SECONDS)] | None = None,
    hop_seconds: HopSeconds | None = None,
) -> Listing:
    """The clips that meta/esc50.csv names in audio/, in 50 classes, or with `esc10` in ten.

    The official split is by the official folds: one tests, one selects, three train. The authors
    average over the five test folds; which fold selects is ours. Clips of one source recording
    (src_file) are never in two splits. `window_seconds` cuts each clip into windows that start
    every `hop_seconds` (None: half a window): 1 s gives the nine of report E. data.clip_seconds
    must then be a window's length; without windows 5 takes whole clips. Raises UserError for
    another layout.
    """
    if test_fold == validation_fold:
        raise UserError(f"data.validation_fold: is {test_fold}, the test_fold; give another one.")
    if hop_seconds is not None and window_seconds is None:
        raise UserError("data.hop_seconds: needs data.window_seconds, the length of a window.")
    if not (root / META).is_file():
        raise UserError(f"data.root: {root} has no {META}. Give the unpacked archive of ESC-50.")
    starts = [0.0]
    if window_seconds is not None:
        hop = window_seconds / 2 if hop_seconds is None else hop_seconds
        starts = list(window_starts(CLIP_SECONDS, window_seconds, hop))
    splits = {test_fold: "test", validation_fold: "validation"}
    clips, targets, names = [], {}, FileNames("filename")
    for line, row in read_rows(root / META, COLUMNS):
        name, fold, target, category, ten, source = (row[column] for column in COLUMNS[:6])
        if not (fold.isdecimal() and target.isdecimal() and 1 <= int(fold) <= FOLDS and category):
            raise UserError(
                f"{root / META}: line {line}: fold {fold!r}, target {target!r}, category "
                f"{category!r}; needed are a fold of 1 to {FOLDS}, a number and a name."
            )
        if mistake := names.mistake(line, name):
            raise UserError(f"{root / META}: line {line}: {mistake}.")
        if esc10 and ten != "True":
            continue
        targets[category] = int(target)
        clips += [
            Clip(
                root / "audio" / name,
                (category,),
                split=splits.get(int(fold), "train"),
                group=source,
                fold=int(fold),
                start_seconds=start,
                seconds=window_seconds,
            )
            for start in starts
        ]
    return Listing(
        tuple(clips),
        tuple(sorted(targets, key=targets.__getitem__)),
        windows=window_seconds is not None,
        whole_groups=True,
    )
