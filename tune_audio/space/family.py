"""One model and what is tuned of it."""

import dataclasses
import graphlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_audio.errors import UserError
from tune_audio.space.domains import MOST_LISTED, Domain, Suggests, holds
from tune_audio.training.train_params import TrainParams


def decision_order(domains: Mapping[str, Domain]) -> list[str]:
    """Names such that a parameter comes after those its `when` asks about.

    Raises graphlib.CycleError if conditions go in a circle.
    """
    asks = {name: [n for n in d.when if n in domains] for name, d in domains.items()}
    return list(graphlib.TopologicalSorter(asks).static_order())


@dataclass(frozen=True)
class Family:
    """A model of MODELS under a name of its own, with the domains of its hyperparameters.

    What `domains` does not name has its default. `resources` has "cpus" and "gpus" of one trial
    where the space gives them for this family.
    """

    name: str
    model: str
    domains: dict[str, Domain]
    resources: dict[str, float] = field(default_factory=dict)

    def suggest(self, trial: Suggests) -> dict[str, Any]:
        """A configuration: fixed values, and what the trial suggests for the rest.

        A parameter whose `when` does not hold is neither suggested nor in the configuration.
        """
        chosen: dict[str, Any] = {}
        for name in decision_order(self.domains):
            domain = self.domains[name]
            if holds(domain.when, chosen):
                chosen[name] = domain.suggest(trial, name)
        return {name: chosen[name] for name in self.domains if name in chosen}

    def grid(self) -> list[dict[str, Any]]:
        """Every configuration once; the first-named parameter varies slowest.

        Raises UserError if a range cannot be listed or there are more than 100,000.
        """
        axes = []
        for name, domain in self.domains.items():
            try:
                axes.append(domain.values())
            except ValueError as error:
                raise UserError(f"models.{self.name}.{name}: {error}") from None
        count = math.prod(map(len, axes))
        if count > MOST_LISTED:
            raise UserError(f"models.{self.name}: got a grid of {count}; use sampler: random")
        order = decision_order(self.domains)
        different: dict[str, dict[str, Any]] = {}
        for values in itertools.product(*axes):
            configuration = self._without_idle(dict(zip(self.domains, values, strict=True)), order)
            different.setdefault(json.dumps(configuration), configuration)
        return list(different.values())

    def _without_idle(self, every: dict[str, Any], order: list[str]) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for name in order:
            if holds(self.domains[name].when, chosen):
                chosen[name] = every[name]
        return {name: every[name] for name in every if name in chosen}

    def split(self, params: Mapping[str, Any]) -> tuple[TrainParams, dict[str, Any]]:
        """A configuration as training parameters and the keyword arguments of the model."""
        names = {f.name for f in dataclasses.fields(TrainParams)}
        train = {name: value for name, value in params.items() if name in names}
        model = {name: value for name, value in params.items() if name not in names}
        return TrainParams(**train), model

    def to_dict(self) -> dict[str, Any]:
        """What stands under `models.<name>` in a resolved space."""
        resources = {"resources": dict(self.resources)} if self.resources else {}
        domains = {name: domain.to_yaml() for name, domain in self.domains.items()}
        return {"model": self.model, **resources, **domains}
