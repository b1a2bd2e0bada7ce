"""Every family of a space measured on this machine: what its forecast is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from tune_audio.costs.apart import Answer, Key, Request, measure_apart
from tune_audio.costs.duration import Work, least_epochs
from tune_audio.costs.family_costs import SMALL, Configuration, FamilyCosts
from tune_audio.costs.forecast import FamilyForecast, Forecast
from tune_audio.costs.measure import Measurement
from tune_audio.costs.packing import Node, share_of_gpu
from tune_audio.data.corpus import Corpus
from tune_audio.data.load import usable_cpus
from tune_audio.data.progress import Track
from tune_audio.features.store import FeatureStore
from tune_audio.space import Family, Search, SearchSpace
from tune_audio.space.parameters import model_parameters
from tune_audio.tuning.samplers import likely_configurations


def measure_space(
    space: SearchSpace,
    corpus: Corpus,
    everything: Corpus | None,
    store: FeatureStore,
    families: Sequence[Family],
    track: Track,
) -> Forecast:
    """Measure families of a space on this machine, and reckon what all their trials take.

    everything: the corpus of the retraining, if there is to be one. store: only looked at.
    """
    search = space.search
    node = Node(usable_cpus(), torch.cuda.device_count() if torch.cuda.is_available() else 0)
    planned = [_Planned.of(family, space, corpus, store, node) for family in families]
    requests = {key: request for plan in planned for key, request in plan.requests().items()}
    at_once = 1 if node.gpus else max(1, node.slots(search.cpus_per_trial, 0))
    answers = measure_apart(requests, at_once)
    found = dict(track(answers, "measuring", len(requests)))
    done = [plan.forecast(space, everything, found) for plan in planned]
    return Forecast(done, node, space.epochs * (search.fold_count or 1))


@dataclass(frozen=True)
class _Planned:
    """A family with its trials, before it is measured."""

    costs: FamilyCosts
    cpus: float
    asked: float | Literal["auto"]
    node: Node
    search: Search

    @classmethod
    def of(
        cls, family: Family, space: SearchSpace, corpus: Corpus, store: FeatureStore, node: Node
    ) -> "_Planned":
        search = space.search
        drawn = likely_configurations(family, search.trials)
        costs = FamilyCosts(family, drawn, corpus, space.epochs, search.fold_count, store)
        cpus = family.resources.get("cpus", search.cpus_per_trial)
        asked = family.resources.get("gpus", search.gpus_per_trial)
        return cls(costs, cpus, asked if node.gpus or asked != "auto" else 0.0, node, search)

    @property
    def name(self) -> str:
        return self.costs.family.name

    def requests(self) -> dict[Key, Request]:
        """The largest configuration, the typical one if it is smaller, and a head without a GPU."""
        if self._too_large():
            return {}
        costs, on_gpu = self.costs, bool(self.asked)
        wanted = {"largest": (costs.costliest, on_gpu)}
        if costs.typical.work != costs.costliest.work:
            wanted["typical"] = costs.typical, on_gpu
        if self.asked == "auto" and costs.costliest.trained <= SMALL:
            wanted["cpu"] = costs.costliest, False
        return {(self.name, what): self._request(*chosen) for what, chosen in wanted.items()}

    def _too_large(self) -> str | None:
        """Why no trial of it can run here, whatever a measurement would say."""
        gpus = 0.0 if self.asked == "auto" else self.asked
        if self.node.slots(self.cpus, gpus):
            return None
        return f"a trial needs {self.cpus:g} CPUs and {gpus:g} GPUs, more than are here"

    def _request(self, chosen: Configuration, on_gpu: bool) -> Request:
        costs, search = self.costs, self.search
        return Request(
            costs.corpus,
            costs.config(chosen, self.cpus, float(on_gpu)),
            {"epochs": costs.epochs, "metric": search.metric, "folds": search.fold_count},
            costs.augments,
            costs.store.max_bytes,
        )

    def forecast(
        self, space: SearchSpace, everything: Corpus | None, found: Mapping[Key, Answer]
    ) -> FamilyForecast:
        """What the measurements say, or why they say nothing."""
        trials = len(self.costs.configurations)
        if problem := self._too_large():
            return FamilyForecast(self.name, trials, problem=problem)
        largest = found[self.name, "largest"]
        measured = found.get((self.name, "typical"), largest)
        for answer in (largest, measured):
            if isinstance(answer, str):
                return FamilyForecast(self.name, trials, problem=answer)
            if answer.out_of_memory:
                return FamilyForecast(self.name, trials, problem="out of GPU memory")
        assert isinstance(largest, Measurement) and isinstance(measured, Measurement)
        gpus = 0.0 if self.asked == "auto" else self.asked
        if self.asked == "auto" and largest.peak_bytes and largest.device_bytes:
            gpus = share_of_gpu(largest.peak_bytes, largest.device_bytes)
            on_cpu = found.get((self.name, "cpu"))
            if isinstance(on_cpu, Measurement):
                without, with_one = self.costs.seconds_without_and_with(
                    on_cpu, largest, self.cpus, gpus, [self.node]
                )
                if without <= with_one:
                    gpus, measured, largest = 0.0, on_cpu, on_cpu
        epochs = space.epochs * (self.search.fold_count or 1)
        part = least_epochs(self.search, trials, epochs) / epochs
        return FamilyForecast(
            self.name,
            trials,
            self.costs,
            measured,
            largest.peak_bytes,
            gpus,
            works=self.costs.works(measured, self.cpus, gpus),
            shorter=self.costs.works(measured, self.cpus, gpus, part),
            retraining=self._retraining(space, everything, measured, gpus),
        )

    def _retraining(
        self, space: SearchSpace, everything: Corpus | None, measured: Measurement, gpus: float
    ) -> list[Work]:
        """As if a configuration of the middle were the best."""
        how = space.retrain
        if how is None or everything is None:
            return []
        best = self.costs.typical.given
        costs = FamilyCosts(
            self.costs.family,
            [best] * min(how.top, len(self.costs.configurations)) * how.repeats,
            everything,
            how.epochs or space.epochs,
            None,
            self.costs.store,
        )
        return costs.works(measured, self.cpus, gpus)


def to_fetch(family: Family, search: Search) -> list[str]:
    """Checkpoints of a family that are not on this machine yet."""
    known = model_parameters(family.model)
    if "checkpoint" not in known:
        return []
    from tune_audio.models.pretrained import is_here  # transformers takes seconds to import

    wanted = {
        given.get("checkpoint", known["checkpoint"].default)
        for given in likely_configurations(family, search.trials)
        if given.get("initial_weights") != "random"
    }
    return sorted(checkpoint for checkpoint in wanted if not is_here(checkpoint))
