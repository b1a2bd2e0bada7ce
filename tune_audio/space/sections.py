"""The sections of a space that are not hyperparameters: data, search, retrain, resources."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt
from pydantic import BaseModel, ConfigDict

from tune_audio.data import DATASETS
from tune_audio.signatures import keyword_parameters
from tune_audio.space.mistakes import Mistakes, unknown
from tune_audio.space.parameters import (
    check_keywords,
    corpus_parameters,
    dataset_parameters,
)
from tune_audio.training.metrics import names as metric_names


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Search(_Section):
    """How configurations are drawn, stopped and compared.

    `trials` is how many each family gets; a grid has as many as it has. A trial may be stopped
    from `grace_epochs` on, and of each rung one in `reduction_factor` goes on (Li et al. 2020,
    ASHA; hyperband alike). `metric` is measured on the validation split. With `folds` a
    trial trains as many models at once, each validated on another part of the training and
    validation clips, and is judged by their mean in every epoch. `gpus_per_trial: auto` is the
    part of a GPU that a family's largest batch was measured to need, or none where a CPU is as
    quick; a trial that runs out of GPU memory is repeated once with twice as much. One that does
    no step for ten times what an epoch of its family takes, and at least `hanging_seconds`, is
    started again, once.
    """

    sampler: Literal["grid", "random", "tpe", "gp", "cmaes", "nsga2"] = "tpe"
    scheduler: Literal["asha", "median", "hyperband", "none"] = "asha"
    metric: str = "val/accuracy"
    trials: Annotated[int, Ge(1)] | None = None
    grace_epochs: Annotated[int, Ge(1)] = 1
    reduction_factor: Annotated[int, Ge(2)] = 3
    folds: Annotated[int, Ge(2)] | None = None
    seed: Annotated[int, Ge(0)] = 0
    cpus_per_trial: Annotated[float, Gt(0)] = 1.0
    gpus_per_trial: Literal["auto"] | Annotated[float, Ge(0)] = "auto"
    hanging_seconds: Annotated[float, Gt(0)] = 300.0


class Retrain(_Section):
    """What happens to the `top` configurations of each family after the search.

    Each is trained `repeats` times with different seeds, on the space's labels ("same") or on
    every label the data set has ("all"), for `epochs` (None: as long as in the search), and
    tested once.
    """

    labels: Literal["all", "same"] = "all"
    top: Annotated[int, Ge(1)] = 1
    repeats: Annotated[int, Ge(1)] = 1
    epochs: Annotated[int, Ge(1)] | None = None


class Resources(_Section):
    """What one trial of a family occupies instead of search.cpus_per_trial, gpus_per_trial."""

    cpus: Annotated[float, Gt(0)] | None = None
    gpus: Annotated[float, Ge(0)] | None = None


_AnySection = TypeVar("_AnySection", bound=_Section)


def as_mapping(raw: Any, where: str, mistakes: Mistakes) -> dict[str, Any]:
    """A section's keys and values; an empty section is an empty mapping."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        mistakes.add(where, f"got {raw!r}, must be a mapping of names to values")
        return {}
    return {str(key): value for key, value in raw.items()}


def read_section(
    section: type[_AnySection], raw: Any, where: str, mistakes: Mistakes
) -> _AnySection | None:
    """The section, its values checked against its fields; None if there is a mistake."""
    before = len(mistakes)
    given = as_mapping(raw, where, mistakes)
    values = check_keywords(given, keyword_parameters(section), where, mistakes)
    return section(**values) if len(mistakes) == before else None


def read_search(raw: Any, mistakes: Mistakes) -> Search | None:
    """The search section, whose metric exists and whose trials fit its sampler."""
    search = read_section(Search, raw, "search", mistakes)
    metrics = metric_names()
    metric = as_mapping(raw, "search", mistakes).get("metric", Search().metric)
    if isinstance(metric, str) and metric not in metrics:
        mistakes.add("search.metric", unknown("metric", metric, metrics))
    if search is None:
        return None
    if search.sampler == "grid" and search.trials is not None:
        message = f"got {search.trials} with sampler: grid, which runs every configuration once"
        mistakes.add("search.trials", f"{message}; leave trials out, or use sampler: random")
    if search.sampler != "grid" and search.trials is None:
        message = f"is missing; sampler: {search.sampler} needs the number of trials per family"
        mistakes.add("search.trials", message)
    return search


def read_retrain(raw: Mapping[str, Any], mistakes: Mistakes) -> Retrain | None:
    """The retrain section of a space; None where it is null or false: search only."""
    given = raw.get("retrain", {})
    if given is None or given is False:
        return None
    return read_section(Retrain, given, "retrain", mistakes)


def read_data(raw: Any, mistakes: Mistakes) -> dict[str, Any]:
    """The data section: keyword arguments of the corpus and of the data set it names."""
    given = as_mapping(raw, "data", mistakes)
    name = given.get("name")
    if name is None:
        mistakes.add("data.name", f"is missing; allowed: {', '.join(DATASETS)}")
        return {}
    if not isinstance(name, str) or name not in DATASETS:
        mistakes.add("data.name", unknown("data set", name, DATASETS))
        return {}
    options = {key: value for key, value in given.items() if key != "name"}
    if options.get("root", "") is None:  # as if it were left out
        del options["root"]
    problem = _split_problem(options.get("split"))
    if problem:
        mistakes.add("data.split", problem)
        del options["split"]
    parameters = corpus_parameters() | dataset_parameters(name)
    data = check_keywords(options, parameters, "data", mistakes)
    _check_labels(data.get("labels"), mistakes)
    return {"name": name, **data}


def _split_problem(split: Any) -> str | None:
    numbers = isinstance(split, list) and all(isinstance(part, int | float) for part in split)
    if not numbers or (
        len(split) == 3
        and all(0 <= part <= 1 for part in split)
        and math.isclose(math.fsum(split), 1, abs_tol=1e-6)
    ):
        return None
    total = f"{math.fsum(split):g}"
    return f"got {split}, sum {total}; must be three fractions that sum to 1, or official"


def _check_labels(labels: Any, mistakes: Mistakes) -> None:
    if not isinstance(labels, list):
        return
    if not labels:
        mistakes.add("data.labels", "got [], must be a list of labels, or all")
    for label in dict.fromkeys(label for label in labels if labels.count(label) > 1):
        mistakes.add("data.labels", f"got {label!r} more than once")


def take_epochs(train: dict[str, Any], mistakes: Mistakes) -> int:
    """Take `epochs` out of the train section: one number, because rungs are counted on it."""
    if "epochs" not in train:
        mistakes.add("train.epochs", "is missing; must be a whole number, 1 or more")
        return 1
    epochs = train.pop("epochs")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        message = "must be one whole number, 1 or more: epochs are fixed, the scheduler stops"
        mistakes.add("train.epochs", f"got {epochs!r}, {message} trials before")
        return 1
    return epochs
