"""Which trial is better, and which hyperparameters were searched: what every table is made of.

The better value comes first and, between equal values, the lower trial number. Trials that
failed, or have no finite value yet, are not ranked.
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from tune_audio.records import TrialRecord

Direction = Literal["maximize", "minimize"]

REPORT_ORDER = ("lr", "batch_size", "augment")  # report A, tables 4.2, 4.3 and 4.4


def ranked(records: Iterable[TrialRecord], direction: Direction) -> list[TrialRecord]:
    """The trials that have a finite value and did not fail, best first."""
    sign = -1.0 if direction == "maximize" else 1.0
    valued = [
        record
        for record in records
        if record.state != "failed" and record.value is not None and math.isfinite(record.value)
    ]
    return sorted(valued, key=lambda record: (sign * record.value, record.number, record.family))


def best_of_families(
    records: Iterable[TrialRecord], direction: Direction
) -> dict[str, TrialRecord]:
    """The best trial of each family that has one, the best family first."""
    best: dict[str, TrialRecord] = {}
    for record in ranked(records, direction):
        best.setdefault(record.family, record)
    return best


def families(records: Iterable[TrialRecord]) -> list[str]:
    """The families in the order in which they first appear."""
    return list(dict.fromkeys(record.family for record in records))


def varying(records: Iterable[TrialRecord]) -> dict[str, list[Any]]:
    """The hyperparameters with several values in at least one family, and all their values.

    Report A's three come first. What only differs between families (such as a checkpoint) is
    fixed in each and left out. Numbers ascend; other values stand in the order of the trials.
    """
    by_family: dict[str, dict[str, set[str]]] = {}
    values: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda record: record.number):
        for name, value in record.params.items():
            values.setdefault(name, {}).setdefault(identity(value), value)
            by_family.setdefault(record.family, {}).setdefault(name, set()).add(identity(value))
    names = [
        name for name in values if any(len(seen.get(name, ())) > 1 for seen in by_family.values())
    ]
    rank = {name: place for place, name in enumerate(REPORT_ORDER)}
    names.sort(key=lambda name: rank.get(name, len(rank)))
    return {name: in_order(list(values[name].values())) for name in names}


def best_by_values(
    records: Iterable[TrialRecord], parameter: str, direction: Direction
) -> dict[str, dict[str, TrialRecord]]:
    """The best trial for each family and (formatted) value of a hyperparameter."""
    best: dict[str, dict[str, TrialRecord]] = {}
    for record in ranked(records, direction):
        if parameter in record.params:
            row = best.setdefault(record.family, {})
            row.setdefault(format_value(record.params[parameter]), record)
    return best


def seconds(record: TrialRecord) -> float:
    """The wall-clock time of a trial's epochs, in seconds."""
    return sum(epoch.get("epoch_seconds", 0.0) for epoch in record.epochs)


def format_value(value: Any) -> str:
    """A hyperparameter as people write it: 0.001, 1e-05, none, [2, 4]."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def in_order(values: Sequence[Any]) -> list[Any]:
    """Numbers ascending; anything else as it came."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return sorted(values) if numbers else list(values)


def identity(value: Any) -> str:
    """A hashable stand-in for a hyperparameter's value, equal where the values are."""
    return json.dumps(value, sort_keys=True, default=repr)
