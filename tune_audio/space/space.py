"""A whole search space: data, training, search and models, checked against the code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from tune_audio.errors import UserError
from tune_audio.space.binding import read_families
from tune_audio.space.domains import Range
from tune_audio.space.family import Family
from tune_audio.space.mistakes import Mistakes, unknown
from tune_audio.space.sections import (
    Retrain,
    Search,
    as_mapping,
    read_data,
    read_retrain,
    read_search,
    take_epochs,
)
from tune_audio.space.yaml_text import write_yaml

SECTIONS = ("name", "data", "train", "search", "params", "models", "retrain")


@dataclass(frozen=True)
class SearchSpace:
    """What a search does. `data` holds the arguments of load_corpus and the data set, and name.

    `epochs` is what an unstopped trial is trained for; `families` is in the order of the YAML;
    `retrain` is None where the search is all that is wanted.
    """

    name: str
    data: dict[str, Any]
    epochs: int
    search: Search
    retrain: Retrain | None
    families: dict[str, Family]

    @classmethod
    def from_dict(
        cls, raw: Any, *, name: str = "space", models: Sequence[str] | None = None
    ) -> "SearchSpace":
        """Check what a YAML file holds, and bind it to the signatures of the code.

        name: used where the space does not say one itself.
        models: only these families; the others are not even looked at.

        Raises UserError with all mistakes at once.
        """
        mistakes = Mistakes()
        raw = as_mapping(raw, "the file", mistakes)
        for section in raw:
            if section not in SECTIONS:
                mistakes.add(section, unknown("section", section, SECTIONS))
        name = _read_name(raw.get("name", name), mistakes)
        wanted, all_given = _pick(as_mapping(raw.get("models"), "models", mistakes), models)
        if not wanted:
            mistakes.add("models", "is empty; a space has one model or more, e.g. lstm_cnn: {}")
        train = as_mapping(raw.get("train"), "train", mistakes)
        params = as_mapping(raw.get("params"), "params", mistakes)
        data, epochs = read_data(raw.get("data"), mistakes), take_epochs(train, mistakes)
        search, retrain = read_search(raw.get("search"), mistakes), read_retrain(raw, mistakes)
        families = read_families(wanted, train, params, mistakes, all_given=all_given)
        if search is not None and not mistakes:
            _check_sampler(search, families, mistakes)
        mistakes.raise_any(name)
        assert search is not None
        return cls(name, data, epochs, search, retrain, families)

    def with_data_root(self, root: Path | str) -> "SearchSpace":
        """The same space for a data set that lies in the folder `root`."""
        return replace(self, data={**self.data, "root": str(root)})

    def to_dict(self) -> dict[str, Any]:
        """The resolved space, such that `from_dict` makes an equal one of it.

        `params` is empty in it: every family has its domains itself.
        """
        return {
            "name": self.name,
            "data": to_jsonable_python(self.data),
            "train": {"epochs": self.epochs},
            "search": self.search.model_dump(),
            "models": {name: family.to_dict() for name, family in self.families.items()},
            "retrain": None if self.retrain is None else self.retrain.model_dump(),
        }

    def to_yaml(self) -> str:
        """`to_dict` as YAML 1.2, which `load_space` reads."""
        return write_yaml(self.to_dict())


def _read_name(name: Any, mistakes: Mistakes) -> str:
    if not isinstance(name, str) or not name or "/" in name or "\\" in name:
        mistakes.add("name", f"got {name!r}, must be text without slashes: it names a folder")
    return str(name)


def _pick(given: dict[str, Any], models: Sequence[str] | None) -> tuple[dict[str, Any], bool]:
    """The wanted families, and whether they are all that are given."""
    if models is None:
        return given, True
    for name in models:
        if name not in given:
            raise UserError(f"--models: {name!r}: {unknown('model in this space', name, given)}")
    wanted = {name: raw for name, raw in given.items() if name in models}
    return wanted, len(wanted) == len(given)


def _check_sampler(search: Search, families: dict[str, Family], mistakes: Mistakes) -> None:
    """Not every sampler can draw from every domain."""
    for family in families.values():
        if search.sampler == "grid":
            try:
                family.grid()
            except UserError as error:
                where, _, message = error.message.partition(": ")
                mistakes.add(where, message)
        ranges = [d for d in family.domains.values() if isinstance(d, Range) and not d.when]
        if search.sampler == "cmaes" and len(ranges) < 2:
            message = f"has {len(ranges)} ranges without a condition; sampler: cmaes needs two"
            mistakes.add(f"models.{family.name}", f"{message}, or take sampler: tpe")
