"""What a space's `sampler` and `scheduler` are in Optuna."""

import math
import warnings
from typing import Any

import optuna

from tune_audio.space import Family, Search
from tune_audio.tuning.cmaes import CmaEs

DRAWS = 64  # they have every choice of few in them, as good as surely

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler for `search.sampler`; a grid is queued beforehand and needs none."""
    samplers = optuna.samplers
    if name == "tpe":
        # Trials run in parallel: the liar keeps TPE from asking for the running ones again.
        return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    return {
        "grid": samplers.RandomSampler,
        "random": samplers.RandomSampler,
        "gp": samplers.GPSampler,
        "cmaes": CmaEs,
        "nsga2": samplers.NSGAIISampler,
    }[name](seed=seed)


def blind_draws(name: str) -> float:
    """After how many trials of a study a sampler begins to look at their results."""
    return {"tpe": 10, "gp": 10, "cmaes": 1, "nsga2": 50}.get(name, math.inf)


def make_pruner(search: Search, epochs: int) -> optuna.pruners.BasePruner:
    """Optuna's pruner for `search.scheduler`; asha is Li et al. 2018, arXiv:1810.05934."""
    pruners = optuna.pruners
    if search.scheduler == "asha":
        return pruners.SuccessiveHalvingPruner(search.grace_epochs, search.reduction_factor)
    if search.scheduler == "hyperband":
        return pruners.HyperbandPruner(search.grace_epochs, epochs, search.reduction_factor)
    if search.scheduler == "median":
        return pruners.MedianPruner(n_warmup_steps=search.grace_epochs)
    return pruners.NopPruner()


def kinds_of_configurations(family: Family, sampler: str) -> list[dict[str, Any]]:
    """Configurations of which no two differ in real numbers only; of many draws if not a grid.

    Whether a model can be built and trained depends on choices, not on a rate: these are enough
    to find out. Real numbers are those of the first configuration of all.
    """
    if sampler == "grid":
        configurations = family.grid()
    else:
        study = optuna.create_study(sampler=make_sampler("random", 0))
        configurations = [family.suggest(study.ask()) for _ in range(DRAWS)]
    reals: dict[str, float] = {}
    kinds = {}
    for drawn in configurations:
        same = {n: reals.setdefault(n, v) if isinstance(v, float) else v for n, v in drawn.items()}
        kinds[repr(same)] = same
    return list(kinds.values())


def likely_configurations(family: Family, trials: int | None) -> list[dict[str, Any]]:
    """So many configurations as a sampler may draw, each as likely; None for those of a grid."""
    if trials is None:
        return family.grid()
    study = optuna.create_study(sampler=make_sampler("random", 0))
    drawn = [family.suggest(study.ask()) for _ in range(min(trials, DRAWS))]
    return [drawn[i % len(drawn)] for i in range(trials)]


def example_configuration(family: Family) -> dict[str, Any]:
    """One configuration that the family's domains allow."""
    return family.suggest(optuna.create_study(sampler=make_sampler("random", 0)).ask())
