"""Metrics and hyperparameters as people write them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from tune_audio.escaping import printable
from tune_audio.reporting.records import TrialRecord

NOT_RUN = "—"


def format_metric(value: float | None) -> str:
    """A metric to three decimals, or a dash where there is none."""
    return NOT_RUN if value is None else f"{value:.3f}"


def format_value(value: Any) -> str:
    """A hyperparameter: 0.001, 1e-05, none, [2, 4]."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def cell(text: str, style: str = "") -> Text:
    """What a table shows as it stands there: no [brackets] in it are read as markup."""
    return Text(printable(text), style)


def format_params(record: TrialRecord, names: Iterable[str]) -> str:
    """The named hyperparameters of a trial on one line: `lr 0.001, batch_size 32`."""
    return ", ".join(
        f"{name} {format_value(record.params[name])}" for name in names if name in record.params
    )


def in_order(values: Sequence[Any]) -> list[Any]:
    """Numbers ascending; anything else as it came."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return sorted(values) if numbers else list(values)


def identity(value: Any) -> str:
    """A hashable stand-in for a hyperparameter's value, equal where the values are."""
    return json.dumps(value, sort_keys=True, default=repr)
