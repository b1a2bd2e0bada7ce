"""Which trial is better, and which hyperparameters were searched: what every table is made of."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tune_audio.reporting.records import TrialRecord
from tune_audio.reporting.values import format_value, identity, in_order

Direction = Literal["maximize", "minimize"]

REPORT_ORDER = ("lr", "batch_size", "augment")  # report A, tables 4.2, 4.3 and 4.4


@dataclass(frozen=True)
class Ranking:
    """The trials of a search, ranked once; all tables and files are drawn from it.

    records: of all trials. metric, direction: by what they are compared. A mean over more folds
    comes before one over fewer; then the better value comes first and, between equal values, the
    lower trial number. Trials that failed, or have no finite value yet, are not ranked.
    """

    records: Sequence[TrialRecord]
    metric: str
    direction: Direction

    @cached_property
    def order(self) -> list[TrialRecord]:
        """The trials that have a finite value and did not fail, best first."""
        sign = -1.0 if self.direction == "maximize" else 1.0
        valued = [
            (-record.folds, sign * record.value, record.number, record.family, record)
            for record in self.records
            if record.state != "failed" and record.value is not None and math.isfinite(record.value)
        ]
        return [record for *_, record in sorted(valued, key=lambda entry: entry[:4])]

    @cached_property
    def best(self) -> dict[str, TrialRecord]:
        """The best trial of each family that has one, the best family first."""
        best: dict[str, TrialRecord] = {}
        for record in self.order:
            best.setdefault(record.family, record)
        return best

    @cached_property
    def best_values(self) -> dict[str, float]:
        """The value of each family's best trial, the best family first."""
        return {f: record.value for f, record in self.best.items() if record.value is not None}

    @cached_property
    def varying(self) -> dict[str, list[Any]]:
        """See `varying`."""
        return varying(self.records)

    def of(self, family: str) -> "Ranking":
        """The trials of one family."""
        mine = [record for record in self.records if record.family == family]
        return Ranking(mine, self.metric, self.direction)

    def best_by(self, parameter: str) -> dict[str, dict[str, TrialRecord]]:
        """The best trial for each family and (formatted) value of a hyperparameter."""
        best: dict[str, dict[str, TrialRecord]] = {}
        for record in self.order:
            if parameter in record.params:
                row = best.setdefault(record.family, {})
                row.setdefault(format_value(record.params[parameter]), record)
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
