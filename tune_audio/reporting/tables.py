"""Trial records as tables for the terminal (rich).

A dash stands for what was not run; failed trials are counted below the table with their reason.
"""

from collections.abc import Iterable, Sequence
from statistics import mean, stdev

from rich.table import Table
from rich.text import Text

from tune_audio.escaping import printable_lines
from tune_audio.reporting.ranking import Ranking, families
from tune_audio.reporting.records import TrialRecord
from tune_audio.reporting.values import (
    NOT_RUN,
    cell,
    format_metric,
    format_value,
    identity,
    in_order,
)
from tune_audio.training.metrics import CLIP

STATE_LABELS = {"stopped": "stopped early"}


def leaderboard(ranking: Ranking, top: int = 10) -> Table:
    """The `top` best trials over all families, and the best of every family wherever it ranks."""
    names, shown_anyway = list(ranking.varying), {record.key for record in ranking.best.values()}
    table = _table(f"Leaderboard by {ranking.metric}", _failures(ranking.records))
    table.add_column("rank", justify="right")
    table.add_column("family", style="bold")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for name in (ranking.metric, "epochs", "seconds"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("state")
    for rank, record in enumerate(ranking.order, start=1):
        if rank > top and record.key not in shown_anyway:
            continue
        table.add_row(
            str(rank),
            cell(record.family),
            *(_param(record, name) for name in names),
            format_metric(record.value),
            str(len(record.epochs)),
            f"{record.seconds:.1f}",
            STATE_LABELS.get(record.state, record.state),
        )
    return table


def best_by(ranking: Ranking, parameter: str) -> Table:
    """The best value of the metric by a hyperparameter: a row a family, a column a value.

    This is report A's tables 4.2 (learning rate), 4.3 (batch size) and 4.4 (augmentation).
    """
    best = ranking.best_by(parameter)
    trials = sorted(ranking.records, key=lambda record: record.number)
    used = [record.params[parameter] for record in trials if parameter in record.params]
    columns = list(dict.fromkeys(format_value(value) for value in in_order(used)))
    table = _table(f"Best {ranking.metric} by {parameter}", None)
    table.add_column("family", style="bold")
    for column in columns:
        table.add_column(cell(column), justify="right", overflow="fold")
    for family in families(r for r in ranking.records if parameter in r.params):
        row = best.get(family, {})
        winner = next(iter(row.values()), None)
        cells = [
            cell(format_metric(row[column].value), "bold" if row[column] is winner else "")
            if column in row
            else NOT_RUN
            for column in columns
        ]
        table.add_row(cell(family), *cells)
    return table


def best_by_tables(ranking: Ranking, most_values: int = 8) -> dict[str, Table]:
    """`best_by` for every hyperparameter that varies over at most `most_values` values."""
    return {
        parameter: best_by(ranking, parameter)
        for parameter, values in ranking.varying.items()
        if len(values) <= most_values
    }


def retrain_table(searched: Ranking, retrained: Sequence[TrialRecord]) -> Table:
    """What the search found beside what retraining on all labels gave (report A, table 4.6).

    Retrainings of one configuration (repeats: they differ in `seed` at most) share a row, as
    mean ± standard deviation of the sample.
    """
    metric = searched.metric
    test_metric = "test/" + metric.partition("/")[2]
    by_clip = f"test/{CLIP}" + metric.partition("/")[2]  # is there where clips are cut into windows
    if any(by_clip in record.extra for record in retrained):
        test_metric = by_clip
    names = [name for name in searched.varying if name != "seed"]
    best = searched.best
    table = _table(f"Best configurations by {metric} and their retraining", _failures(retrained))
    table.add_column("family", style="bold")
    for name in ("search", *names, "retrain", test_metric):
        table.add_column(name, justify="right", overflow="fold")
    for name in ("trainable", "frozen", "seconds"):
        table.add_column(name, justify="right", overflow="fold")
    for family in dict.fromkeys([*best, *families(retrained)]):
        groups = _repeats(record for record in retrained if record.family == family)
        for group in groups or [[]]:
            found = _searched(searched, group[0], names) if group else best[family]
            shown = group[0] if group else best[family]
            table.add_row(
                cell(family),
                format_metric(found.value if found else None),
                *(_param(shown, name) for name in names),
                _mean_sd(record.value for record in group),
                _mean_sd(record.extra.get(test_metric) for record in group),
                _count(group, "trainable_parameters"),
                _count(group, "frozen_parameters"),
                f"{mean(record.seconds for record in group):.1f}" if group else NOT_RUN,
            )
    return table


def _table(title: str, caption: str | None) -> Table:
    below = Text(printable_lines(caption)) if caption else None
    return Table(title=cell(title), title_justify="left", caption=below, caption_justify="left")


def _param(record: TrialRecord, name: str) -> Text:
    return cell(format_value(record.params[name]) if name in record.params else NOT_RUN)


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
    searched: Ranking, retrained: TrialRecord, names: Sequence[str]
) -> TrialRecord | None:
    wanted = [_param(retrained, name) for name in names]
    mine = (record for record in searched.order if record.family == retrained.family)
    return next((r for r in mine if [_param(r, name) for name in names] == wanted), None)


def _mean_sd(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return format_metric(known[0] if known else None)
    return f"{mean(known):.3f} ± {stdev(known):.3f}"


def _count(group: Sequence[TrialRecord], name: str) -> str:
    counts = [record.extra[name] for record in group if name in record.extra]
    return f"{counts[0]:,}" if counts else NOT_RUN
