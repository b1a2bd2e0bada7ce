"""Trial records as tables for the terminal (rich), as CSV and, the best of them, as YAML.

A dash stands for what was not run; failed trials are counted below the table with their reason.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from tune_audio.cache import publish_text
from tune_audio.metrics import CLIP
from tune_audio.records import TrialRecord
from tune_audio.reporting.ranking import (
    Direction,
    best_by_values,
    best_of_families,
    families,
    format_value,
    identity,
    in_order,
    ranked,
    seconds,
    varying,
)

NOT_RUN = "—"
STATE_LABELS = {"stopped": "stopped early"}


def format_metric(value: float | None) -> str:
    """A metric to three decimals, or a dash where there is none."""
    return NOT_RUN if value is None else f"{value:.3f}"


def format_params(record: TrialRecord, names: Iterable[str]) -> str:
    """The named hyperparameters of a trial on one line: `lr 0.001, batch_size 32`."""
    return ", ".join(
        f"{name} {format_value(record.params[name])}" for name in names if name in record.params
    )


def leaderboard(
    records: Sequence[TrialRecord], metric: str, direction: Direction, top: int = 10
) -> Table:
    """The `top` best trials over all families, and the best of every family wherever it ranks."""
    order = ranked(records, direction)
    names = list(varying(records))
    shown_anyway = {record.key for record in best_of_families(order, direction).values()}
    table = _table(f"Leaderboard by {metric}", _failures(records))
    table.add_column("rank", justify="right")
    table.add_column("family", style="bold")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for name in (metric, "epochs", "seconds"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("state")
    for rank, record in enumerate(order, start=1):
        if rank > top and record.key not in shown_anyway:
            continue
        table.add_row(
            str(rank),
            record.family,
            *(_param(record, name) for name in names),
            format_metric(record.value),
            str(len(record.epochs)),
            f"{seconds(record):.1f}",
            STATE_LABELS.get(record.state, record.state),
        )
    return table


def best_by(
    records: Sequence[TrialRecord], parameter: str, metric: str, direction: Direction
) -> Table:
    """The best value of the metric by a hyperparameter: a row a family, a column a value.

    This is report A's tables 4.2 (learning rate), 4.3 (batch size) and 4.4 (augmentation).
    """
    best = best_by_values(records, parameter, direction)
    trials = sorted(records, key=lambda record: record.number)
    used = [record.params[parameter] for record in trials if parameter in record.params]
    columns = list(dict.fromkeys(format_value(value) for value in in_order(used)))
    table = _table(f"Best {metric} by {parameter}", None)
    table.add_column("family", style="bold")
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    for family in families(r for r in records if parameter in r.params):
        row = best.get(family, {})
        winner = next(iter(row.values()), None)
        cells = [
            f"[bold]{format_metric(row[column].value)}[/]"
            if column in row and row[column] is winner
            else format_metric(row[column].value if column in row else None)
            for column in columns
        ]
        table.add_row(family, *cells)
    return table


def best_by_tables(
    records: Sequence[TrialRecord], metric: str, direction: Direction, most_values: int = 8
) -> dict[str, Table]:
    """`best_by` for every hyperparameter that varies over at most `most_values` values."""
    return {
        parameter: best_by(records, parameter, metric, direction)
        for parameter, values in varying(records).items()
        if len(values) <= most_values
    }


def retrain_table(
    search_records: Sequence[TrialRecord],
    retrain_records: Sequence[TrialRecord],
    metric: str,
    direction: Direction,
) -> Table:
    """What the search found beside what retraining on all labels gave (report A, table 4.6).

    Retrainings of one configuration (repeats: they differ in `seed` at most) share a row, as
    mean ± standard deviation of the sample.
    """
    test_metric = "test/" + metric.partition("/")[2]
    by_clip = f"test/{CLIP}" + metric.partition("/")[2]  # is there where clips are cut into windows
    if any(by_clip in record.extra for record in retrain_records):
        test_metric = by_clip
    names = [name for name in varying(search_records) if name != "seed"]
    best = best_of_families(search_records, direction)
    table = _table(
        f"Best configurations by {metric} and their retraining", _failures(retrain_records)
    )
    table.add_column("family", style="bold")
    for name in ("search", *names, "retrain", test_metric):
        table.add_column(name, justify="right", overflow="fold")
    for name in ("trainable", "frozen", "seconds"):
        table.add_column(name, justify="right", overflow="fold")
    for family in dict.fromkeys([*best, *families(retrain_records)]):
        groups = _repeats(record for record in retrain_records if record.family == family)
        for group in groups or [[]]:
            found = _searched(search_records, group[0], names, direction) if group else best[family]
            shown = group[0] if group else best[family]
            table.add_row(
                family,
                format_metric(found.value if found else None),
                *(_param(shown, name) for name in names),
                _mean_sd(record.value for record in group),
                _mean_sd(record.extra.get(test_metric) for record in group),
                _count(group, "trainable_parameters"),
                _count(group, "frozen_parameters"),
                f"{mean(seconds(record) for record in group):.1f}" if group else NOT_RUN,
            )
    return table


def write_leaderboard(
    path: Path, records: Sequence[TrialRecord], metric: str, direction: Direction
) -> None:
    """Write every trial with every hyperparameter as CSV, ranked ones first; never half a file.

    The further metrics are those after the last epoch of a trial that was not stopped.
    """
    order = {id(record): rank for rank, record in enumerate(ranked(records, direction), start=1)}
    names = list(dict.fromkeys(name for record in records for name in record.params))
    further = sorted({name for r in records for name in r.extra if name.startswith("val/")})
    run = ("epochs_run", "train_seconds", "state", "error")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["rank", "trial", "family", *names, metric, *run, *further])
    for record in sorted(records, key=lambda r: (order.get(id(r), math.inf), r.family, r.number)):
        writer.writerow(
            [
                order.get(id(record), ""),
                record.key,
                record.family,
                *(_cell(record.params.get(name, "")) for name in names),
                "" if record.value is None else record.value,
                len(record.epochs),
                round(seconds(record), 3),
                record.state,
                record.extra.get("error", ""),
                *(record.extra.get(name, "") for name in further),
            ]
        )
    publish_text(path, buffer.getvalue())


def write_best(
    path: Path, records: Sequence[TrialRecord], metric: str, direction: Direction
) -> None:
    """Write the best configuration of each family, with its value, as YAML; never half a file."""
    ended = sum(record.state in ("complete", "stopped", "failed") for record in records)
    content = {
        family: {metric: float(record.value), "trial": record.key, "params": record.params}
        for family, record in best_of_families(records, direction).items()
    }
    head = (
        f"# The best configuration of each family by {metric} ({direction}), the best family\n"
        f"# first, after {ended} of {len(records)} trials.\n"
    )
    buffer = io.StringIO()
    yaml = YAML(pure=True)
    yaml.default_flow_style = False
    yaml.dump(content, buffer)
    publish_text(path, head + buffer.getvalue())


def _table(title: str, caption: str | None) -> Table:
    # Text, not str: an error's message may hold [brackets], which rich would read as markup.
    below = Text(caption) if caption else None
    return Table(title=Text(title), title_justify="left", caption=below, caption_justify="left")


def _param(record: TrialRecord, name: str) -> str:
    return escape(format_value(record.params[name])) if name in record.params else NOT_RUN


def _failures(records: Iterable[TrialRecord]) -> str | None:
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.state == "failed":
            error = str(record.extra.get("error", "no reason was recorded")).strip()
            reasons.setdefault(error.partition("\n")[0], []).append(record.key)
    notes = [
        f"{len(keys)} failed ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}): {reason}"
        for reason, keys in reasons.items()
    ]
    return "\n".join(notes) or None


def _repeats(records: Iterable[TrialRecord]) -> list[list[TrialRecord]]:
    groups: dict[str, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda record: record.number):
        if record.state != "failed":
            configuration = {k: v for k, v in record.params.items() if k != "seed"}
            groups.setdefault(identity(configuration), []).append(record)
    return list(groups.values())


def _searched(
    records: Iterable[TrialRecord],
    retrained: TrialRecord,
    names: Sequence[str],
    direction: Direction,
) -> TrialRecord | None:
    wanted = [_param(retrained, name) for name in names]
    return next(
        (
            record
            for record in ranked(records, direction)
            if record.family == retrained.family
            and [_param(record, name) for name in names] == wanted
        ),
        None,
    )


def _mean_sd(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return format_metric(known[0] if known else None)
    return f"{mean(known):.3f} ± {stdev(known):.3f}"


def _count(group: Sequence[TrialRecord], name: str) -> str:
    counts = [record.extra[name] for record in group if name in record.extra]
    return f"{counts[0]:,}" if counts else NOT_RUN


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
