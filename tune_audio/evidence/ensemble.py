"""Several trials' models that answer together: greedy selection from what was kept of each.

Caruana, Niculescu-Mizil, Crew & Ksikes 2004: starting from none, that model is added, again if
need be, with which the mean of all probabilities scores best. It is done in bags, each of a random
half of the models (their section 2.3), which keeps it from fitting the validation's clips; how
often a model was taken in all bags is its weight.

Metrics that are not counts (ranks, one's own) would take minutes: the log loss stands for them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tune_audio.evidence.comparison import Difference, check_same_rows, difference
from tune_audio.evidence.intervals import LEVEL, Interval, interval
from tune_audio.evidence.predictions import Predictions, log_losses
from tune_audio.evidence.resampled import is_counted, scorer
from tune_audio.evidence.units import Units, units
from tune_audio.training.metrics import direction

# Of how many models at most, the best by themselves, it is selected.
CANDIDATES = 20
BAGS, ROUNDS = 5, 10
FOLDS = 5
MEMBERS = 5


@dataclass(frozen=True)
class Budget:
    """What an ensemble may take: so many models, and their costs' sum, in the costs' unit."""

    members: int = MEMBERS
    cost: float = np.inf

    def allows(self, costs: Iterable[float]) -> bool:
        """Whether models of such costs may be together."""
        costs = list(costs)
        return len(costs) <= self.members and sum(costs) <= self.cost


@dataclass(frozen=True)
class Ensemble:
    """Models and their weights, which sum to 1, by falling weight; and what they are worth.

    estimate: cross-fitted, every clip being answered by an ensemble that was selected on other
    speakers. single: the best model alone, on all clips. gain: of the ensemble over the model that
    is best alone, both so cross-fitted.
    """

    weights: dict[str, float]
    cost: float
    estimate: Interval
    single: str
    gain: Difference

    def is_better(self, level: float = LEVEL) -> bool:
        """Whether it is told from the best model alone."""
        return self.gain.better_by > 0 and self.gain.p <= 1 - level


def select(
    candidates: Mapping[str, Predictions],
    metric: str,
    *,
    costs: Mapping[str, float] | None = None,
    budget: Budget | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Ensemble:
    """The ensemble within a budget that promises the best score.

    candidates: models by name, on the same rows. costs: of each, such as ms a clip; the budget's
    cost is about them. Raises ValueError for other rows, or if the budget allows no model.
    """
    check_same_rows(list(candidates.values()))
    costs = costs or dict.fromkeys(candidates, 0.0)
    pool = _pool(candidates, metric, costs, budget or Budget(), seed)
    weights = pool.bagged()
    together, alone = _cross_fitted(pool)
    return Ensemble(
        weights=weights,
        cost=sum(costs[name] for name in weights),
        estimate=interval(together, pool.metric, level),
        single=pool.best(),
        gain=difference(together, alone, pool.metric, level),
    )


@dataclass(frozen=True)
class _Pool:
    """Probabilities, float32 (n, L), of models that the budget allows, the best of them first."""

    clips: Predictions
    chances: Mapping[str, np.ndarray]
    metric: str
    costs: Mapping[str, float]
    budget: Budget
    seed: int

    def on(self, rows: np.ndarray) -> "_Pool":
        """The same of some rows."""
        chances = {name: of[rows] for name, of in self.chances.items()}
        return replace(self, clips=self.clips.take(rows), chances=chances)

    def mean(self, weights: Mapping[str, float]) -> np.ndarray:
        """What models say together: probabilities (n, L)."""
        return np.sum([weight * self.chances[name] for name, weight in weights.items()], axis=0)

    def best(self) -> str:
        """The model that scores best alone."""
        sign = 1 if direction(self.metric) == "maximize" else -1
        scores = {
            name: _score(self.clips.saying(of), self.metric) for name, of in self.chances.items()
        }
        return max(scores, key=lambda name: sign * scores[name])

    def bagged(self) -> dict[str, float]:
        """The weights that all bags together give, the most wanted first, within the budget."""
        rng, names = np.random.default_rng(self.seed), list(self.chances)
        votes: Counter[str] = Counter()
        for _ in range(BAGS):
            half = rng.permutation(len(names))[: max(2, len(names) // 2)]
            votes.update(self._greedy([names[i] for i in sorted(half)]))
        taken: list[str] = []
        for name, _ in votes.most_common():
            if self._allows([*taken, name]):
                taken.append(name)
        total = sum(votes[name] for name in taken)
        return {name: votes[name] / total for name in taken}

    def _greedy(self, names: Sequence[str]) -> list[str]:
        """The models, some more than once, of the round that scored best."""
        total = np.zeros(self.clips.logits.shape, np.float32)
        taken: list[str] = []
        found = []
        for number in range(1, ROUNDS + 1):
            options = [name for name in names if self._allows({*taken, name})]
            worth = {name: self._worth((total + self.chances[name]) / number) for name in options}
            taken.append(max(worth, key=worth.__getitem__))
            total += self.chances[taken[-1]]
            found.append(worth[taken[-1]])
        return taken[: found.index(max(found)) + 1]

    def _allows(self, names: Iterable[str]) -> bool:
        return self.budget.allows(self.costs[name] for name in names)

    def _worth(self, chances: np.ndarray) -> tuple[float, float]:
        """The metric, the higher the better; and the log loss, for where that is equal."""
        log_loss = -float(log_losses(self.clips.targets, chances).mean())
        if not is_counted(self.metric):
            return 0.0, log_loss
        # What is said is the highest of one label, and of several what is above 0.
        said = replace(self.clips, logits=chances - 0.5 * self.clips.several)
        sign = 1 if direction(self.metric) == "maximize" else -1
        return sign * _score(said, self.metric), log_loss


def _pool(
    candidates: Mapping[str, Predictions],
    metric: str,
    costs: Mapping[str, float],
    budget: Budget,
    seed: int,
) -> _Pool:
    allowed = [name for name in candidates if budget.allows([costs[name]])]
    if not allowed:
        raise ValueError(f"budget: {budget} allows none of {len(candidates)} models")
    sign = 1 if direction(metric) == "maximize" else -1
    allowed.sort(key=lambda name: -sign * candidates[name].score(metric))
    clips, name = candidates[allowed[0]].for_metric(metric)
    chances = {
        one: candidates[one].for_metric(metric)[0].chances.astype(np.float32)
        for one in allowed[:CANDIDATES]
    }
    return _Pool(clips, chances, name, costs, budget, seed)


def _cross_fitted(pool: _Pool) -> tuple[Predictions, Predictions]:
    """What ensembles say of clips they were not selected on, and what single models do."""
    mixed, alone = (np.empty(pool.clips.logits.shape) for _ in range(2))
    for held, rest in units(pool.clips).folds(FOLDS, pool.seed):
        known, unheard = pool.on(rest), pool.on(held)
        mixed[held] = unheard.mean(known.bagged())
        alone[held] = unheard.chances[known.best()]
    return pool.clips.saying(mixed), pool.clips.saying(alone)


def _score(predictions: Predictions, metric: str) -> float:
    whole = Units(np.zeros(len(predictions.logits), int), 1, "recordings", 1)
    return float(scorer(predictions, metric, whole)(np.ones((1, 1)))[0])
