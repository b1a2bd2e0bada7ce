"""What every data set becomes: one memory-mapped file of 16-bit samples, decoded once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tune_audio.data.clips import SPLITS, Peak


@dataclass
class Corpus:
    """Decoded clips of a data set, ordered by split; pickled as the path it is mapped from.

    Clip i is `samples[start[i] : start[i] + length[i]]`, int16 at `sample_rate` Hz. `targets` are
    label indices (n,) int64 or, for a multi-label set, multi-hot (n, labels) float32. `split` (n,)
    uint8 indexes SPLITS. `names` are paths relative to the data set's root. `clip_ids` (n,) uint64
    name a clip whatever the subset it is in. Rows of equal `recording` (n,) int64 are windows of
    one recording, numbered from 0 in row order; without windows each row has its own. `fold` (n,)
    int64 is the official fold, -1 where there is none. `skipped` lists (path, reason) of what could
    not be read, `loud` has the peaks, by path, of recordings of floats that go beyond ±1: clipped,
    or scaled where `peak` is "normalise".
    """

    folder: Path
    fingerprint: str
    labels: list[str]
    multi_label: bool
    clip_samples: int
    sample_rate: int
    peak: Peak
    samples: np.ndarray = field(repr=False)
    start: np.ndarray = field(repr=False)
    length: np.ndarray = field(repr=False)
    targets: np.ndarray = field(repr=False)
    split: np.ndarray = field(repr=False)
    group: list[str] = field(repr=False)
    names: list[str] = field(repr=False)
    clip_ids: np.ndarray = field(repr=False)
    recording: np.ndarray = field(repr=False)
    fold: np.ndarray = field(repr=False)
    noise: list[np.ndarray] = field(repr=False)
    skipped: list[tuple[str, str]] = field(repr=False)
    loud: dict[str, float] = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Map a corpus that `load_corpus` has built. Raises if it is not there or not whole."""
        about = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        samples = np.memmap(folder / "samples.int16", dtype=np.int16, mode="r")
        if len(samples) != about["total_samples"]:
            raise ValueError(f"{folder}: {len(samples)} of {about['total_samples']} samples")
        with np.load(folder / "tables.npz") as tables:
            columns = {name: tables[name] for name in tables.files}
        ranges = zip(columns.pop("noise_start"), columns.pop("noise_length"), strict=True)
        return cls(
            folder=folder,
            fingerprint=folder.name,
            labels=about["labels"],
            multi_label=about["multi_label"],
            clip_samples=about["clip_samples"],
            sample_rate=about["sample_rate"],
            peak=about["peak"],
            samples=samples,
            group=about["group"],
            names=about["names"],
            noise=[samples[start : start + length] for start, length in ranges],
            skipped=[(path, reason) for path, reason in about["skipped"]],
            loud=about["loud"],
            **columns,
        )

    def __reduce__(self) -> tuple[Callable[[Path], "Corpus"], tuple[Path]]:
        return Corpus.open, (self.folder,)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def form(self) -> tuple[int, int, int]:
        """What a model is made for: the number of labels, samples a clip, samples a second."""
        return len(self.labels), self.clip_samples, self.sample_rate

    def rows(self, split: str) -> np.ndarray:
        """int64 rows of "train", "validation" or "test", in order."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def waveforms(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """float32 (len(rows), clip_samples) in [-1, 1).

        A shorter clip is followed by zeros, of a longer one the centre is taken.
        """
        rows = np.asarray(rows, dtype=np.int64)
        length = self.length[rows]
        first = self.start[rows] + np.maximum(length - self.clip_samples, 0) // 2
        windows = np.lib.stride_tricks.sliding_window_view(self.samples, self.clip_samples)
        out = np.multiply(windows[first], np.float32(2.0**-15), dtype=np.float32)
        for row in np.flatnonzero(length < self.clip_samples):
            out[row, length[row] :] = 0.0
        return out
