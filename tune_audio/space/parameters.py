"""What may be written in a space: the keyword-only parameters of what it configures."""

import pkgutil
from collections.abc import Mapping
from typing import Any

from tune_audio.data import DATASETS
from tune_audio.models import MODELS
from tune_audio.signatures import Parameter, keyword_parameters
from tune_audio.space.mistakes import Mistakes, convert, unknown
from tune_audio.training.train_params import TrainParams

# Arguments of load_corpus that are no options of the data set: the caller decides them.
_NOT_IN_A_SPACE = {"name", "root", "cache", "progress", "most_bytes"}


def train_parameters() -> dict[str, Parameter]:
    """The fields of TrainParams."""
    return keyword_parameters(TrainParams)


def corpus_parameters() -> dict[str, Parameter]:
    """What `data:` may say about every data set, besides its name."""
    from tune_audio.data.load import load_corpus

    every = keyword_parameters(load_corpus)
    options = {name: every[name] for name in every if name not in _NOT_IN_A_SPACE}
    return {"root": Parameter(str | None, None, required=False), **options}


def dataset_parameters(name: str) -> dict[str, Parameter]:
    """The own options of the data set DATASETS names so."""
    return keyword_parameters(pkgutil.resolve_name(DATASETS[name]))


def model_parameters(name: str) -> dict[str, Parameter]:
    """The hyperparameters of the model MODELS names so; importing it may import torch.

    Raises ValueError if a package the model needs is not installed.
    """
    try:
        model = pkgutil.resolve_name(MODELS[name])
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tune_audio"):
            raise
        raise ValueError(f"model {name} needs the package {error.name}; install it") from None
    return keyword_parameters(model)


def check_keywords(
    given: Mapping[str, Any], parameters: Mapping[str, Parameter], where: str, mistakes: Mistakes
) -> dict[str, Any]:
    """The given values as the parameters' types, without those that are mistakes."""
    checked = {}
    for name, value in given.items():
        if name not in parameters:
            mistakes.add(f"{where}.{name}", unknown("key", name, parameters))
            continue
        try:
            checked[name] = convert(value, parameters[name].annotation)
        except ValueError as error:
            mistakes.add(f"{where}.{name}", str(error))
    for name, parameter in parameters.items():
        if parameter.required and name not in given:
            mistakes.add(f"{where}.{name}", "is missing")
    return checked
