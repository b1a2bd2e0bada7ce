"""What a function or a class takes by keyword: its options, as its signature declares them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter as its signature declares it."""

    annotation: Any
    default: Any
    required: bool


def keyword_parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The keyword-only parameters of a function or a class, in the order of its signature."""
    signature = inspect.signature(function, eval_str=True)
    empty = inspect.Parameter.empty
    return {
        name: Parameter(
            Any if parameter.annotation is empty else parameter.annotation,
            parameter.default,
            parameter.default is empty,
        )
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
