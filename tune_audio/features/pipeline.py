"""Where a model's frozen prefix ends, and its output for every clip, read or computed.

A model is an `nn.Sequential` of stages, waveform in, logits out. Everything before the first stage
with a trainable weight gives the same answer in every trial, so it is computed once and kept in
the feature store; a trial computes only what comes after.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from tune_audio.data.corpus import Corpus
from tune_audio.features.augment import augment, functions
from tune_audio.features.prefix import fingerprint
from tune_audio.features.spec_augment import augment_features, spectrogram_stage
from tune_audio.features.store import Entry, FeatureStore
from tune_audio.machine.watchdog import alive

# Seconds of audio that go through the prefix at a time. Backbones on a CPU core are fastest on
# few; a GPU wants more, but trials share it, and each output of wav2vec2-base's first convolution
# is 6.6 MB a second.
PREFIX_SECONDS = {"cpu": 16, "cuda": 128}
# A view up to this size is held in memory (on the trial's device) while an epoch trains on it.
VIEW_BYTES_IN_MEMORY = 512 * 2**20


@dataclass(frozen=True)
class View:
    """The prefix's output for the clips of one split: one draw of the augmentation.

    Held in memory where it is small enough; else its batches are gathered from the store's shards,
    or computed live.
    """

    targets: Tensor
    how: str  # "read" | "computed" | "live": how the prefix was had
    _batch: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Features and targets of the clips at `index`, int64 (B,), on the trial's device."""
        return self._batch(index), self.targets[index]


@dataclass(frozen=True)
class StoredView:
    """One entry of the store: so many clips, with this augmentation; `stored` if it is there."""

    key: str
    clips: int
    augment: str
    stored: bool


class Features:
    """The frozen prefix of one configuration over one corpus.

    augment: names of augmentations joined by +, for training clips only.
    views: how many draws of the augmentation there are; epoch e sees draw e mod views.
    fold: (fold of every corpus row, the fold that validates): training and validation clips are
        then those of the other folds and of this one. All folds share one computed prefix.
    Raises UserError for an augmentation of spectrograms where the prefix makes none.
    """

    def __init__(
        self,
        corpus: Corpus,
        prefix: nn.Sequential,
        store: FeatureStore,
        *,
        augment: str = "none",
        views: int = 1,
        seed: int = 0,
        fold: tuple[np.ndarray, int] | None = None,
        device: str = "cpu",
    ) -> None:
        self.fold = fold
        self.corpus, self.prefix, self.store = corpus, prefix.to(device), store
        self.augment, self.views, self.seed, self.device = augment, views, seed, device
        self.spectrogram = spectrogram_stage(augment, prefix)
        self.num_labels = len(corpus.labels)

    def train(self, epoch: int) -> View:
        """The training clips as epoch `epoch` (from 0) sees them."""
        return self._view("train", None if self.augment == "none" else epoch % self.views)

    def clean(self, split: str) -> View:
        """The clips of "train", "validation" or "test" without augmentation."""
        return self._view(split, None)

    def stored_views(self, epochs: int) -> list[StoredView]:
        """What of so many epochs, and their validation, is for the store; nothing is computed."""
        if self._keeps_waveforms:
            return []
        draws = range(min(epochs, self.views)) if self.augment != "none" else [None]
        found = {}
        for split, view in [*(("train", draw) for draw in draws), ("validation", None)]:
            rows, _ = self._choice(split)
            key = self._key(rows, view)
            augment = "none" if view is None else self.augment
            found[key] = StoredView(key, len(rows), augment, self.store.has(key, len(rows)))
        return list(found.values())

    def targets(self, split: str) -> Tensor:
        """What the clips of a split are: int64 (n,), or multi-hot float32 (n, labels)."""
        return torch.from_numpy(self.corpus.targets[self.rows(split)]).to(self.device)

    def rows(self, split: str) -> np.ndarray:
        """Corpus rows of the clips of a split, int64 (n,)."""
        computed, chosen = self._choice(split)
        return computed[chosen]

    def _choice(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Corpus rows to compute together, and which of them the split is."""
        if self.fold is None or split == "test":
            rows = self.corpus.rows(split)
            return rows, np.arange(len(rows))
        fold_of_row, validating = self.fold
        rows = np.flatnonzero(fold_of_row >= 0)
        return rows, np.flatnonzero((fold_of_row[rows] == validating) == (split == "validation"))

    def _view(self, split: str, view: int | None) -> View:
        targets = self.targets(split)
        rows, chosen = self._choice(split)
        live = View(
            targets, "live", lambda index: self._live(rows[chosen[index.cpu().numpy()]], view)
        )
        if self._keeps_waveforms:
            return live
        draws = self.views if view is not None else 1
        entry = self.store.get(
            self._key(rows, view), len(rows), lambda part: self._compute(rows[part], view), draws
        )
        if entry is None:
            return live
        if entry.nbytes <= VIEW_BYTES_IN_MEMORY:
            features = torch.from_numpy(entry.load()[chosen]).to(self.device)
            return View(targets, entry.how, lambda index: features[index])
        return View(
            targets, entry.how, lambda index: self._gather(entry, chosen[index.cpu().numpy()])
        )

    @cached_property
    def _keeps_waveforms(self) -> bool:
        """No stage, or one that only normalises: cheaper than the disk, as large as the clips."""
        if any(True for _ in self.prefix.parameters()):
            return False
        waveform = torch.zeros(1, self.corpus.clip_samples, device=self.device)
        return self.prefix(waveform).shape == waveform.shape

    def _gather(self, entry: Entry, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(entry.gather(rows)).to(self.device)

    def _compute(self, rows: np.ndarray, view: int | None) -> np.ndarray:
        """The prefix's output for some clips, float32 (len(rows), ...)."""
        seconds = PREFIX_SECONDS["cpu" if self.device == "cpu" else "cuda"]
        step = max(1, seconds * self.corpus.sample_rate // self.corpus.clip_samples)
        parts = [self._live(rows[i : i + step], view) for i in range(0, len(rows), step)]
        return torch.cat(parts).float().cpu().numpy()

    def _live(self, rows: np.ndarray, view: int | None) -> Tensor:
        alive()
        features = torch.from_numpy(self.corpus.waveforms(rows))
        generators = None
        if view is not None:
            generators = [self._generator(clip, view) for clip in self.corpus.clip_ids[rows]]
            rate, noise = self.corpus.sample_rate, self.corpus.noise
            features = augment(self.augment, features, generators, rate, noise)
        features = features.to(self.device)
        with torch.no_grad():  # not inference_mode: the suffix trains on what comes out
            for stage in self.prefix:
                features = stage(features)
                if generators and stage is self.spectrogram:
                    features = augment_features(self.augment, features, generators, stage)
        return features

    def _generator(self, clip_id: int, view: int) -> np.random.Generator:
        """The randomness of one clip in one view: the same in every trial, batch and process."""
        return np.random.default_rng([self.seed, int(clip_id), view])

    def _key(self, rows: np.ndarray, view: int | None) -> str:
        draw: Sequence[object] = ("clean",)
        if view is not None:
            draw = (self.augment, *_code_of_augmentations(self.augment), self.seed, view)
        parts = [self.corpus.fingerprint, *(fingerprint(s) for s in self.prefix), *map(str, draw)]
        digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=16)
        digest.update(self.corpus.clip_ids[rows].tobytes())
        return digest.hexdigest()


def _code_of_augmentations(names: str) -> list[str]:
    used = [*functions(names, "waveform"), *functions(names, "spectrogram")]
    modules = {augment.__module__, *(function.__module__ for function in used)}
    return [inspect.getsource(sys.modules[module]) for module in sorted(modules)]
