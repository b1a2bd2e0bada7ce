"""What values a hyperparameter may take: fixed, one of some choices, or a range."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

Conditions = Mapping[str, tuple[Any, ...]]
MOST_LISTED = 100_000


class Suggests(Protocol):
    """What draws values: the part of an optuna.Trial that is needed here."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float: ...


def holds(conditions: Conditions, chosen: Mapping[str, Any]) -> bool:
    """Whether every parameter that `when` names was chosen, and has one of the values."""
    return all(name in chosen and chosen[name] in values for name, values in conditions.items())


@dataclass(frozen=True)
class Fixed:
    """One value, which Optuna is never asked about."""

    value: Any
    when: Conditions = field(default_factory=dict)

    def suggest(self, trial: Suggests, name: str) -> Any:
        return self.value

    def values(self) -> tuple[Any, ...]:
        return (self.value,)

    def contains(self, value: Any) -> bool:
        return value == self.value

    def to_yaml(self) -> Any:
        return self.value if not self.when else _mapping({"value": self.value}, self.when)


@dataclass(frozen=True)
class Choice:
    """One of some values, in the order written."""

    choices: tuple[Any, ...]
    when: Conditions = field(default_factory=dict)

    def suggest(self, trial: Suggests, name: str) -> Any:
        return trial.suggest_categorical(name, self.choices)

    def values(self) -> tuple[Any, ...]:
        return self.choices

    def contains(self, value: Any) -> bool:
        return value in self.choices

    def to_yaml(self) -> Any:
        choices = list(self.choices)
        return choices if not self.when else _mapping({"choices": choices}, self.when)


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; whole numbers if both are.

    `log` draws uniformly in the logarithm. `step` allows only low, low + step, ..., high.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None
    when: Conditions = field(default_factory=dict)

    def suggest(self, trial: Suggests, name: str) -> int | float:
        low, high, step = self.low, self.high, self.step
        if isinstance(low, int) and isinstance(high, int) and isinstance(step, int | None):
            return trial.suggest_int(name, low, high, step=step or 1, log=self.log)
        return trial.suggest_float(name, low, high, step=step, log=self.log)

    def values(self) -> tuple[int | float, ...]:
        """All values, for a grid. Raises ValueError if they cannot be listed."""
        if self.log or (self.step is None and isinstance(self.low, float)):
            raise ValueError(
                f"got the range {self.low} to {self.high}, which a grid cannot list; "
                "give choices or a step, or another search.sampler"
            )
        if self.count() > MOST_LISTED:
            raise ValueError(
                f"got {self.count()} values from {self.low} to {self.high}, too many for a grid; "
                "give choices or a larger step, or another search.sampler"
            )
        return tuple(self.value_at(index) for index in range(self.count()))

    def count(self) -> int:
        """How many values a range with steps has; a step of 1 is meant where none is given."""
        return int((Decimal(str(self.high)) - Decimal(str(self.low))) / self._step) + 1

    def value_at(self, index: int) -> int | float:
        """The value `index` steps above `low`, in decimal arithmetic: 0.1 + 2 x 0.1 is 0.3."""
        return type(self.low)(Decimal(str(self.low)) + self._step * index)

    @property
    def _step(self) -> Decimal:
        return Decimal(str(self.step or 1))

    def contains(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:
            return False
        above = Decimal(str(value)) - Decimal(str(self.low))
        return self.step is None or above % self._step == 0

    def to_yaml(self) -> dict[str, Any]:
        law: dict[str, Any] = {"low": self.low, "high": self.high}
        if self.log:
            law["log"] = True
        if self.step is not None:
            law["step"] = self.step
        return _mapping(law, self.when)


Domain = Fixed | Choice | Range


def _mapping(law: dict[str, Any], when: Conditions) -> dict[str, Any]:
    return law | ({"when": {k: list(v) for k, v in when.items()}} if when else {})
