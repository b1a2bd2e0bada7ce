"""What config.json of a saved model may say: it is data, and whoever sends it gets nothing run.

Everything is checked before anything is built, nothing is fetched, and what is built takes no more
memory than the weights beside it account for.
"""

import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Le, Len
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from torch.overrides import TorchFunctionMode

from tune_audio.data.clips import Peak
from tune_audio.models import MODELS
from tune_audio.signatures import keyword_parameters

FORMAT = 1
# Keys of transformers' configurations that make it look for code, kernels or files elsewhere.
ELSEWHERE = ("auto_map", "attn_implementation", "experts_implementation", "quantization_config")
# Beside its weights a model has tables that are not saved: windows, filter banks, positions.
TABLES_BYTES = 2**27
# No size, number of layers or of words in any architecture is near it; a model of as many layers
# would not be larger than its weights before it had taken all day.
MOST = 2**24
Label = Annotated[str, Len(1, 1000)]
Options = dict[str, JsonValue]


class Architecture(BaseModel):
    """A pretrained backbone without its weights, as transformers writes it down."""

    model_config = ConfigDict(extra="forbid")

    config: Options
    extractor: Options


class Extra(BaseModel):
    """What else a reader may want to know; what stands here matters for what is predicted."""

    model_config = ConfigDict(extra="allow")

    multi_label: bool = False
    demonstration: bool = False
    peak: Peak = "keep"


class SavedConfig(BaseModel):
    """config.json as `save_model` writes it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    model: str
    params: Options
    labels: Annotated[list[Label], Len(1, 100_000)]
    clip_samples: Annotated[int, Ge(1), Le(2**30)]
    sample_rate: Annotated[int, Ge(1000), Le(768_000)]
    extra: Extra = Field(default_factory=Extra)
    versions: dict[str, str] = Field(default_factory=dict)
    architecture: Architecture | None = None


def check_config(given: Any) -> dict[str, Any]:
    """config.json, if it is one. Raises ValueError: where, what was given, what is allowed."""
    if isinstance(given, dict) and given.get("format", FORMAT) != FORMAT:
        raise ValueError(f"format {given['format']!r}: written by another version of tune_audio")
    try:
        config = SavedConfig.model_validate(given)
    except ValidationError as error:
        raise ValueError(_line(error)) from None
    if len(set(config.labels)) < len(config.labels):
        raise ValueError("labels: one stands there twice")
    if config.model not in MODELS:
        raise ValueError(f"model: got {config.model!r}; allowed are {', '.join(MODELS)}")
    model_class = pkgutil.resolve_name(MODELS[config.model])
    allowed = keyword_parameters(model_class)
    for name, value in config.params.items():
        if name not in allowed:
            raise ValueError(f"params.{name}: {config.model} has no such parameter")
        try:
            TypeAdapter(allowed[name].annotation).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"params.{name}: {_line(error)}") from None
    if (config.architecture is not None) != hasattr(model_class, "classes"):
        verb = "lacks" if config.architecture is None else "has"
        raise ValueError(f"architecture: {config.model} {verb} one, and its weights tell no more")
    if config.architecture is not None:
        options = {**config.architecture.config, **config.architecture.extractor}
        for key, value in options.items():
            if key.startswith("_") or key in ELSEWHERE:
                raise ValueError(f"architecture: {key} is not a part of one")
            if any(abs(number) > MOST for number in _whole_numbers(value)):
                raise ValueError(f"architecture: {key} is {value}, more than {MOST}")
    return config.model_dump(exclude_unset=True)


def _line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg']}{more}".removeprefix(": ")


def _whole_numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, list):
        for below in value:
            yield from _whole_numbers(below)


class _Limited(TorchFunctionMode):
    """Refuses tensors once all that were made together are larger than a limit."""

    MAKES = frozenset(
        {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange}
        | {torch.linspace, torch.eye, torch.tensor, torch.empty_like, torch.zeros_like}
    )

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.left = most_bytes

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.MAKES:
            planned = func(*args, **(kwargs | {"device": "meta"}))
            self.left -= planned.numel() * planned.element_size()
            if self.left < 0:
                raise ValueError("the model is larger than its weights")
        return func(*args, **kwargs)


@contextmanager
def no_larger_than(weights_bytes: int) -> Iterator[None]:
    """Raises ValueError where a model is built that needs more memory than its weights' file."""
    with _Limited(weights_bytes + TABLES_BYTES):
        yield
