"""Tables as Markdown: what MLflow shows on a search's page."""

from collections.abc import Sequence

from rich.table import Table

from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import TrialRecord
from tune_audio.reporting.tables import leaderboard, retrain_table


def note(searched: Ranking, retrained: Sequence[TrialRecord] = ()) -> str:
    """The leaderboard of a search and, where there is one, its retraining's table."""
    shown = [leaderboard(searched)]
    shown += [retrain_table(searched, retrained)] if retrained else []
    return "\n\n".join(map(as_markdown, shown)) + "\n"


def as_markdown(table: Table) -> str:
    """A table of `reporting.tables`: its title, its cells, its caption."""
    columns = [[_plain(column.header), *map(_plain, column.cells)] for column in table.columns]
    header, *rows = zip(*columns, strict=True)
    rule = ["---:" if column.justify == "right" else "---" for column in table.columns]
    lines = [" | ".join(cells) for cells in (header, rule, *rows)]
    parts = [f"**{_plain(table.title)}**", "\n".join(f"| {line} |" for line in lines)]
    parts += [_plain(table.caption)] if table.caption else []
    return "\n\n".join(parts)


def _plain(cell: object) -> str:
    return str(cell).replace("|", "\\|")
