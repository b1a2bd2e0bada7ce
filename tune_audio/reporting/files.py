"""A search as files: all of its trials as CSV, the best of them as YAML."""

import io
import json
import math
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tune_audio.escaping import as_csv
from tune_audio.machine.publish import publish_text
from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import ENDED


def write_leaderboard(path: Path, ranking: Ranking) -> None:
    """Write every trial with every hyperparameter as CSV, ranked ones first; never half a file.

    The further metrics are those after the last epoch of a trial that was not stopped.
    """
    records = ranking.records
    order = {id(record): rank for rank, record in enumerate(ranking.order, start=1)}
    names = list(dict.fromkeys(name for record in records for name in record.params))
    further = sorted({name for r in records for name in r.extra if name.startswith("val/")})
    run = ("epochs_run", "train_seconds", "state", "error")
    rows: list[list[Any]] = [
        ["rank", "trial", "family", *names, ranking.metric, *run, *further],
    ]
    for record in sorted(records, key=lambda r: (order.get(id(r), math.inf), r.family, r.number)):
        rows.append(
            [
                order.get(id(record), ""),
                record.key,
                record.family,
                *(_cell(record.params.get(name, "")) for name in names),
                "" if record.value is None else record.value,
                len(record.epochs),
                round(record.seconds, 3),
                record.state,
                record.extra.get("error", ""),
                *(record.extra.get(name, "") for name in further),
            ]
        )
    publish_text(path, as_csv(rows))


def write_best(path: Path, ranking: Ranking) -> None:
    """Write the best configuration of each family, with its value, as YAML; never half a file."""
    metric, records, values = ranking.metric, ranking.records, ranking.best_values
    ended = sum(record.state in ENDED for record in records)
    content = {
        family: {metric: float(values[family]), "trial": record.key, "params": record.params}
        for family, record in ranking.best.items()
    }
    head = (
        f"# The best configuration of each family by {metric} ({ranking.direction}), the best\n"
        f"# family first, after {ended} of {len(records)} trials.\n"
    )
    buffer = io.StringIO()
    yaml = YAML(pure=True)
    yaml.default_flow_style = False
    yaml.dump(content, buffer)
    publish_text(path, head + buffer.getvalue())


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
