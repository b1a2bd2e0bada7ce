"""What a family's trials come to: which configuration to measure, and what each then takes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from torch import nn

from tune_audio.costs.duration import Work, makespan
from tune_audio.costs.measure import Measurement
from tune_audio.costs.packing import Node
from tune_audio.data.corpus import Corpus
from tune_audio.features.pipeline import Features, StoredView
from tune_audio.features.prefix import split_model
from tune_audio.features.store import FeatureStore
from tune_audio.models import build_model
from tune_audio.space import Family
from tune_audio.training.complexity import multiply_adds, parameter_counts
from tune_audio.training.folds import assign_folds
from tune_audio.training.train_params import TrainParams

# What Ray, the database and the display take besides the epochs themselves.
SECONDS_A_TRIAL = 0.3
SECONDS_AN_EPOCH = 0.03
# Where no more parameters than these are trained, a CPU may be as quick and is tried, too.
SMALL = 1_000_000


@dataclass(frozen=True)
class Configuration:
    """One configuration of a family, and what its model and its frozen prefix are like."""

    given: Mapping[str, Any]  # as the family suggests it
    params: TrainParams
    model_params: dict[str, Any]
    trained: int  # parameters
    work: float  # multiply-adds of a clip in the trained part, about
    views: Sequence[StoredView]


class FamilyCosts:
    """The trials that a family will have on a corpus, in what they cost.

    configurations: `samplers.likely_configurations`.
    store: where frozen prefixes are kept; only looked at.
    """

    def __init__(
        self,
        family: Family,
        configurations: Sequence[Mapping[str, Any]],
        corpus: Corpus,
        epochs: int,
        folds: int | None,
        store: FeatureStore,
    ) -> None:
        self.family, self.corpus, self.store = family, corpus, store
        self.epochs, self.folds = epochs, folds
        fold = None if folds is None else (assign_folds(corpus, folds), 0)
        split = [family.split(params) for params in configurations]
        # Real numbers, a dropout say, make no difference to what it costs.
        kinds = [
            repr({k: v for k, v in model_params.items() if not isinstance(v, float)})
            for _, model_params in split
        ]
        found: dict[int, Configuration] = {}
        for kind in dict.fromkeys(kinds):  # one after another: a model may be large
            alike = [i for i, other in enumerate(kinds) if other == kind]
            prefix, trained, work = self._model(split[alike[0]][1])
            views: dict[tuple[object, ...], Sequence[StoredView]] = {}
            for i in alike:
                p, model_params = split[i]
                if (of_prefix := (p.augment, p.views, p.seed)) not in views:
                    features = Features(
                        corpus,
                        prefix,
                        store,
                        augment=p.augment,
                        views=p.views or epochs,
                        seed=p.seed,
                        fold=fold,
                    )
                    views[of_prefix] = features.stored_views(epochs)
                found[i] = Configuration(
                    configurations[i], p, model_params, trained, work, views[of_prefix]
                )
        self.configurations = [found[i] for i in range(len(split))]

    def _model(self, model_params: Mapping[str, Any]) -> tuple[nn.Sequential, int, float]:
        """The frozen prefix of a model, the parameters that are trained, and the work they are."""
        model = build_model(self.family.model, *self.corpus.form, **model_params)
        counts = parameter_counts(model)
        trained = counts["trainable_parameters"]
        share = trained / max(1, sum(counts.values()))
        return (
            split_model(model)[0],
            trained,
            share * multiply_adds(model, self.corpus.clip_samples),
        )

    @cached_property
    def costliest(self) -> Configuration:
        """Whose step is the largest: most work a clip by most clips."""
        return max(self.configurations, key=lambda c: c.work * c.params.batch_size)

    @cached_property
    def typical(self) -> Configuration:
        """Whose model is nearest to the mean of all in work a clip."""
        mean = sum(c.work for c in self.configurations) / len(self.configurations)
        return min(self.configurations, key=lambda c: abs(c.work - mean))

    @property
    def augments(self) -> list[str]:
        return sorted({c.params.augment for c in self.configurations})

    def config(self, chosen: Configuration, cpus: float, gpus: float) -> dict[str, Any]:
        """What `make_learner` takes of a configuration."""
        return {
            "model": self.family.model,
            "model_params": chosen.model_params,
            "train_params": asdict(chosen.params),
            "threads": max(1, int(cpus)),
            "gpus": gpus,
        }

    def works(
        self, measured: Measurement, cpus: float, gpus: float, part: float = 1.0
    ) -> list[Work]:
        """Every trial's seconds, by one that was measured. part: of its epochs that it runs."""
        return [
            Work(
                self.family.name,
                SECONDS_A_TRIAL
                + part
                * self.epochs
                * (self.folds or 1)
                * (self.epoch_seconds(measured, c.params.augment) + SECONDS_AN_EPOCH),
                cpus,
                gpus,
                _missing(measured, c.views),
            )
            for c in self.configurations
        ]

    def epoch_seconds(self, measured: Measurement, augment: str) -> float:
        """An epoch without what is computed once; with folds, of one of them."""
        train, validation = len(self.corpus.rows("train")), len(self.corpus.rows("validation"))
        if self.folds:
            clips = train + validation
            train, validation = round(clips * (1 - 1 / self.folds)), round(clips / self.folds)
        return measured.seconds(train, validation, augment)

    def seconds_without_and_with(
        self,
        on_cpu: Measurement,
        on_gpu: Measurement,
        cpus: float,
        share: float,
        nodes: Sequence[Node],
    ) -> tuple[float, float]:
        """Seconds for all trials, alone on some machines: without GPUs, and with a share each."""
        without = makespan(self.works(on_cpu, cpus, 0.0), nodes)
        return without, makespan(self.works(on_gpu, cpus, share), nodes)

    def stored_bytes(self, measured: Measurement) -> dict[str, int]:
        """What all trials together keep in the store, by name."""
        return {
            view.key: view.clips * measured.prefixes[view.augment].bytes
            for c in self.configurations
            for view in c.views
        }


def _missing(measured: Measurement, views: Sequence[StoredView]) -> dict[str, float]:
    """Seconds to compute what is for the store and not in it, by name."""
    return {
        view.key: view.clips * measured.prefixes[view.augment].seconds
        for view in views
        if measured.prefixes[view.augment].bytes and not view.stored
    }
