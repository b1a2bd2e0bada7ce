"""How a domain is written in YAML: a scalar, a list, {low, high, log, step}, {choices}, when."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tune_audio.space.domains import Choice, Conditions, Domain, Fixed, Range
from tune_audio.space.mistakes import Mistakes, convert, unknown


def read_domain(raw: Any, annotation: Any, where: str, mistakes: Mistakes) -> Domain | None:
    """The domain written as `raw`, its values checked against the parameter's annotation.

    A list is choices and a scalar is fixed; a mapping is {low, high, log?, step?}, {choices} or
    {value}, each with an optional `when: {other parameter: value or values}`, whose values are
    taken as written: whoever knows the other parameters checks them.
    None if there is a mistake, which is then in `mistakes`.
    """
    if isinstance(raw, list):
        return _read_choice(raw, {}, annotation, where, mistakes)
    if not isinstance(raw, Mapping):
        return _read_fixed(raw, {}, annotation, where, mistakes)
    form = next((key for key in ("choices", "value") if key in raw), "low")
    keys = ["low", "high", "log", "step", "when"] if form == "low" else [form, "when"]
    wrong = [key for key in raw if key not in keys]
    for key in wrong:
        mistakes.add(f"{where}.{key}", unknown("key of a domain", key, keys))
    when = _read_when(raw.get("when", {}), where, mistakes)
    if wrong or when is None:
        return None
    if form == "low":
        return _read_range(raw, when, annotation, where, mistakes)
    read = _read_choice if form == "choices" else _read_fixed
    return read(raw[form], when, annotation, where, mistakes)


def _read_when(raw: Any, where: str, mistakes: Mistakes) -> dict[str, tuple[Any, ...]] | None:
    if not isinstance(raw, Mapping):
        message = f"got {raw!r}, must be {{other parameter: value or list of values}}"
        mistakes.add(f"{where}.when", message)
        return None
    when = {str(k): tuple(v) if isinstance(v, list) else (v,) for k, v in raw.items()}
    for other in [other for other, values in when.items() if not values]:
        mistakes.add(f"{where}.when.{other}", "got [], must be a value or a list of values")
        del when[other]
    return when


def _read_fixed(
    raw: Any, when: Conditions, annotation: Any, where: str, mistakes: Mistakes
) -> Fixed | None:
    try:
        return Fixed(_scalar(raw, annotation), when)
    except ValueError as error:
        mistakes.add(where, str(error))
        return None


def _scalar(raw: Any, annotation: Any) -> Any:
    # Optuna's storage keeps no other values, so no others could be compared or resumed.
    if isinstance(raw, list | Mapping):
        raise ValueError(f"got {raw!r}, must be one number or text, true, false or null")
    return convert(raw, annotation)


def _read_choice(
    raw: Any, when: Conditions, annotation: Any, where: str, mistakes: Mistakes
) -> Choice | None:
    if not isinstance(raw, list) or not raw:
        mistakes.add(where, f"got {raw!r}, must be a list of at least one choice")
        return None
    choices: list[Any] = []
    for index, item in enumerate(raw):
        try:
            choice = _scalar(item, annotation)
        except ValueError as error:
            mistakes.add(f"{where}[{index}]", str(error))
            continue
        if any(type(c) is type(choice) and c == choice for c in choices):
            mistakes.add(f"{where}[{index}]", f"got {item!r} for the second time")
        choices.append(choice)
    return Choice(tuple(choices), when) if len(choices) == len(raw) else None


def _read_range(
    raw: Mapping[str, Any], when: Conditions, annotation: Any, where: str, mistakes: Mistakes
) -> Range | None:
    ends = {}
    for key in ("low", "high"):
        try:
            if key not in raw:
                raise ValueError("is missing; a range is {low, high, log?, step?}")
            ends[key] = convert(raw[key], annotation)
            if isinstance(ends[key], bool) or not isinstance(ends[key], int | float):
                raise ValueError(f"got {raw[key]!r}, must be a number; give a list of choices")
        except ValueError as error:
            mistakes.add(f"{where}.{key}", str(error))
            ends.pop(key, None)
    if len(ends) < 2:
        return None
    low, high, log, step = ends["low"], ends["high"], raw.get("log", False), raw.get("step")
    if isinstance(low, float) or isinstance(high, float):
        low, high = float(low), float(high)
    problem = _range_problem(low, high, log, step)
    if problem:
        mistakes.add(where, problem)
        return None
    domain = Range(low, high, log, step if step is None else type(low)(step), when)
    return domain if _steps_are_allowed(domain, annotation, where, mistakes) else None


def _range_problem(low: int | float, high: int | float, log: Any, step: Any) -> str | None:
    if not isinstance(log, bool):
        return f"got log: {log!r}, must be true or false"
    if low >= high:
        return f"got low: {low}, high: {high}; low must be less than high"
    if log and low <= 0:
        return f"got low: {low} with log: true; low must be greater than 0"
    if step is None:
        return None
    kinds = int if isinstance(low, int) else int | float
    if isinstance(step, bool) or not isinstance(step, kinds) or step <= 0:
        kind = "whole number" if kinds is int else "number"
        return f"got step: {step!r}, must be a {kind} greater than 0"
    if log:
        return "got both log and step; a range has one of them"
    if (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
        return f"got step: {step}, which does not lead from {low} to {high}"
    return None


def _steps_are_allowed(domain: Range, annotation: Any, where: str, mistakes: Mistakes) -> bool:
    """A type such as Literal[1, 2, 4] may allow both ends and not what is between."""
    if isinstance(domain.low, float) and domain.step is None:
        inner: tuple[Any, ...] = ((domain.low + domain.high) / 2,)
    else:
        inner = tuple(domain.value_at(index) for index in range(min(domain.count(), 1000)))
    try:
        for value in inner:
            convert(value, annotation)
    except ValueError as error:
        mistakes.add(where, f"{error}; give a list of choices")
        return False
    return True
