"""A small model and a small data set, known only by their signatures, and spaces of them."""

import sys
from textwrap import dedent
from types import ModuleType
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Lt

from tune_audio.data import DATASETS
from tune_audio.errors import UserError
from tune_audio.models import MODELS
from tune_audio.space import SearchSpace, load_space


class Tiny:
    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        *,
        hidden_size: Annotated[int, Gt(0)] = 8,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        width: Literal[1, 2, 4] = 1,
        bias: bool = True,
    ):
        raise AssertionError("a space must not build models")


def tones(root, *, octave: int = 4, kind: Literal["sine", "square"] = "sine"):
    raise AssertionError("a space must not read data")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    module = ModuleType("small_parts")
    module.Tiny, module.tones = Tiny, tones
    monkeypatch.setitem(sys.modules, "small_parts", module)
    monkeypatch.setitem(MODELS, "tiny", "small_parts:Tiny")
    monkeypatch.setitem(DATASETS, "tones", "small_parts:tones")


@pytest.fixture
def load(tmp_path):
    """Load a space from YAML text; what the text does not say is said here."""

    def load(text: str, *overrides, **options) -> SearchSpace:
        sections = {
            "data": "data: {name: tones}",
            "train": "train: {epochs: 2}",
            "search": "search: {sampler: grid}",
            "models": "models: {tiny: {}}",
        }
        text = dedent(text)
        said = {line.partition(":")[0] for line in text.splitlines()}
        missing = [line for name, line in sections.items() if name not in said]
        file = tmp_path / "mine.yaml"
        file.write_text("\n".join([text, *missing]))
        return load_space(file, overrides, **options)

    return load


@pytest.fixture
def complaint(load):
    """The message of the error that loading ends with."""

    def complaint(text: str, *overrides) -> str:
        with pytest.raises(UserError) as caught:
            load(text, *overrides)
        return caught.value.message

    return complaint
