"""What a family costs on a device: two steps on real clips, by the clock and by memory.

Plain torch. A measurement leaves torch's random state as it was; still it is best had in a process
of its own: a process's largest memory is that of all that it has done.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tune_audio.costs.gauges import Clock, CpuMemory, GpuMemory, Memory
from tune_audio.data.corpus import Corpus
from tune_audio.features.pipeline import PREFIX_SECONDS, Features
from tune_audio.features.store import SHARD_ROWS, Compute, Entry, FeatureStore
from tune_audio.training.folds import CrossValidation
from tune_audio.training.learner import EVALUATION_BATCH, Learner
from tune_audio.training.learners import make_learner

# A first batch through a prefix that took longer counts: what it set up was little of it.
SLOW_SECONDS = 2.0


@dataclass(frozen=True)
class Prefix:
    """A clip's way through the frozen prefix with one augmentation.

    bytes: what the store keeps of a clip; 0 where it keeps nothing and every trial computes it.
    """

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Measurement:
    """What one configuration costs on one device. Where memory ran out, only that is known.

    peak_bytes: on a GPU what the process takes of it; on a CPU the process's memory. None if that
        cannot be known here.
    """

    device: str  # "cpu", or what the GPU calls itself
    device_bytes: int | None = None
    peak_bytes: int | None = None
    train_seconds: float = 0.0  # a clip, in the trained suffix
    validation_seconds: float = 0.0  # a clip
    epoch_seconds: float = 0.0  # an epoch's reading of features and saving of weights
    prefixes: dict[str, Prefix] = field(default_factory=dict)  # of augmentations
    out_of_memory: bool = False

    def seconds(self, train_clips: int, validation_clips: int, augment: str) -> float:
        """An epoch of so many clips, without what is computed once for all trials."""
        prefix = self.prefixes[augment]
        a_clip = self.train_seconds + (0.0 if prefix.bytes else prefix.seconds)
        return (
            train_clips * a_clip + validation_clips * self.validation_seconds + self.epoch_seconds
        )

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> "Measurement":
        """What `dataclasses.asdict` has made a dict of."""
        prefixes = {augment: Prefix(**prefix) for augment, prefix in known["prefixes"].items()}
        return cls(**{**known, "prefixes": prefixes})


def measure(
    corpus: Corpus,
    config: Mapping[str, Any],
    job: Mapping[str, Any],
    *,
    augments: Sequence[str] = (),
    feature_bytes: int,
    memory: Memory | None = None,
) -> Measurement:
    """Two steps of a configuration, a batch of validation and a batch through its frozen prefix.

    config, job: as `make_learner` takes them. augments: what else than the configuration's own the
    prefix is to be timed with. feature_bytes: the limit of the store, over which nothing is cached.
    Raises what a Learner raises, but for running out of GPU memory.
    """
    if memory is None:
        memory = GpuMemory() if config["gpus"] else CpuMemory()
    devices = [0] if config["gpus"] else []
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=devices):
        try:
            torch.set_num_threads(config["threads"])
            memory.start()
            return _measured(corpus, config, job, augments, feature_bytes, memory)
        except torch.cuda.OutOfMemoryError:
            return Measurement(memory.device, memory.device_bytes, out_of_memory=True)
        finally:
            torch.set_num_threads(threads)


def _measured(
    corpus: Corpus,
    config: Mapping[str, Any],
    job: Mapping[str, Any],
    augments: Sequence[str],
    feature_bytes: int,
    memory: Memory,
) -> Measurement:
    device = "cuda" if config["gpus"] else "cpu"
    clips = max(1, PREFIX_SECONDS[device] * corpus.sample_rate // corpus.clip_samples)
    clock = Clock(device, config["threads"])
    store = OneBatch(clips, feature_bytes, clock)
    made = make_learner(corpus, store, config, job)
    first = made.learner if isinstance(made, CrossValidation) else made
    prefixes = {
        augment: _prefix(first.features, augment, store, clock)
        for augment in dict.fromkeys([first.params.augment, "none", *augments])
    }
    own = prefixes[first.params.augment]
    train, validation, reading = _epoch(first, clock)
    _, saving = clock.once(lambda: torch.save(made.state_dict(), io.BytesIO()))
    return Measurement(
        memory.device,
        memory.device_bytes,
        memory.peak(),
        train_seconds=train if own.bytes else max(0.0, train - own.seconds),
        validation_seconds=validation,
        epoch_seconds=reading + saving,
        prefixes=prefixes,
    )


def _prefix(features: Features, augment: str, store: "OneBatch", clock: Clock) -> Prefix:
    """A batch through the prefix, as a trial with this augmentation would compute it."""
    alike = Features(
        features.corpus,
        features.prefix,
        store,
        augment=augment,
        views=features.views,
        seed=features.seed,
        fold=features.fold,
        device=features.device,
    )
    view = alike.train(0)
    if view.how != "live":
        return Prefix(store.seconds_a_clip, store.bytes_a_clip)
    batch = torch.arange(min(store.clips, len(view)), device=features.device)
    return Prefix(clock.settled(lambda: view.batch(batch)) / len(batch), 0)


def _epoch(learner: Learner, clock: Clock) -> tuple[float, float, float]:
    """Seconds a clip trained, a clip validated, and of reading an epoch's features."""
    features, device = learner.features, learner.device
    features.train(0)  # computes what is read below
    view, reading = clock.once(lambda: features.train(0))
    batch = torch.arange(min(learner.params.batch_size, len(view)), device=device)
    steps = -(-len(view) // len(batch))
    learner.suffix.train()
    train = clock.settled(lambda: learner.train_step(view, batch, 0, steps))
    clean = features.clean("validation")  # beside the view of training, as in an epoch
    some = torch.arange(min(EVALUATION_BATCH, len(clean)), device=device)
    learner.suffix.eval()
    with torch.no_grad():
        validation = clock.settled(lambda: learner.suffix(clean.batch(some)[0]).float())
    return train / len(batch), validation / len(some), reading


class OneBatch(FeatureStore):
    """A store on no disk: it computes a batch, and says that all clips are like those of it.

    So an epoch's features are as large in memory as they will be. clips: of a batch.
    """

    def __init__(self, clips: int, max_bytes: int, clock: Clock) -> None:
        self.clips, self.max_bytes, self.clock = clips, max_bytes, clock
        self.seconds_a_clip, self.bytes_a_clip = 0.0, 0  # of the last view
        self._known: dict[str, tuple[np.ndarray, float]] = {}

    def get(self, key: str, rows: int, compute: Compute, siblings: int = 1) -> Entry | None:
        if key not in self._known:
            batch = np.arange(min(rows, self.clips))
            features, seconds = self.clock.once(lambda: compute(batch))
            if seconds < SLOW_SECONDS:
                seconds = self.clock.again(lambda: compute(batch))
            self._known[key] = features, seconds / len(batch)
        features, self.seconds_a_clip = self._known[key]
        self.bytes_a_clip = features[:1].nbytes
        if self.bytes_a_clip * rows * siblings > self.max_bytes:
            return None
        whole = np.take(features, np.arange(SHARD_ROWS) % len(features), axis=0)
        full, rest = divmod(rows, SHARD_ROWS)
        return Entry([whole] * full + [whole[:rest]] * (rest > 0), "computed")
