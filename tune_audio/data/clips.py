"""What every data set is listed as, before a sample of it is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SPLITS = ("train", "validation", "test")
Peak = Literal["keep", "normalise"]


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of a recording and what is known of it.

    `labels` holds one label, or several in a multi-label data set. `split` is one of `SPLITS`
    where the data set has an official one. `group` is the speaker or the source recording: what
    must not stand in two splits when a data set is split by speaker. `seconds` None means to the
    end of the recording.
    """

    path: Path
    labels: tuple[str, ...]
    split: str | None = None
    group: str | None = None
    fold: int | None = None
    start_seconds: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True)
class Listing:
    """All clips of a data set, its labels in their official order, and its background noise.

    With `windows` the clips of one file are windows of one recording: a subset takes all of them
    or none, and their predictions can be averaged. With `whole_groups` a group is one source
    recording and stands in one split, however the data set is split.
    """

    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    noise: tuple[Path, ...] = ()
    multi_label: bool = False
    windows: bool = False
    whole_groups: bool = False


@dataclass(frozen=True)
class Decoding:
    """What clips are decoded to: mono at `sample_rate` Hz, the centre of what is too long.

    Recordings of floats that go beyond ±1 are clipped where `peak` is "keep", and scaled to it, the
    whole file alike, where it is "normalise".
    """

    clip_seconds: float
    sample_rate: int
    peak: Peak = "keep"
