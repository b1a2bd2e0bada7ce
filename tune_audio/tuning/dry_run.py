"""What a search would run, or what it would refuse, and what it takes; nothing is decoded."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from tune_audio.costs.forecast_tables import show_forecast
from tune_audio.costs.outline import outline
from tune_audio.data.corpus import Corpus
from tune_audio.data.progress import tracking
from tune_audio.escaping import printable_lines
from tune_audio.features.store import FeatureStore
from tune_audio.models import build_model
from tune_audio.reporting.ranking import varying
from tune_audio.reporting.records import TrialRecord
from tune_audio.reporting.values import format_value
from tune_audio.space import Family, SearchSpace
from tune_audio.training.complexity import parameter_counts
from tune_audio.tuning.check import check_models
from tune_audio.tuning.measured_space import measure_space, to_fetch
from tune_audio.tuning.samplers import example_configuration

Configurations = dict[str, list[dict[str, Any]]]  # of each family


def show(space: SearchSpace, console: Console, cache: Path, feature_bytes: int) -> None:
    """Print the resolved space, the families' parameter counts, a grid's configurations, a plan.

    Raises UserError where the search would, but for what only decoding or fetching shows.
    """
    text = printable_lines(space.to_yaml())
    console.print(Syntax(text, "yaml", background_color="default"))
    corpus, fetched = _looked_at(space, cache)
    configurations = {family.name: _configurations(space, family) for family in _families(space)}
    here = {name: kept for name, kept in configurations.items() if name not in fetched}
    if here:
        console.print(_sizes(space, here, corpus))
    if space.search.sampler == "grid":
        console.print(_grid(configurations))
    total = sum(map(len, configurations.values()))
    trials = space.search.trials
    count = total if trials is None else trials * len(configurations)
    console.print(f"{count} trials of up to {space.epochs} epochs")
    _show_plan(space, corpus, fetched, console, cache, feature_bytes, workers=1)


def show_plan(
    space: SearchSpace, console: Console, cache: Path, feature_bytes: int, *, workers: int
) -> None:
    """Print what the search takes on this machine, and on so many like it. Raises as `show`."""
    corpus, fetched = _looked_at(space, cache)
    _show_plan(space, corpus, fetched, console, cache, feature_bytes, workers=workers)


def _looked_at(space: SearchSpace, cache: Path) -> tuple[Corpus, dict[str, list[str]]]:
    """The corpus, and what is to be fetched for a family; the others are found to be right."""
    corpus = outline(space, cache)
    lacking = {name: to_fetch(family, space.search) for name, family in space.families.items()}
    fetched = {name: checkpoints for name, checkpoints in lacking.items() if checkpoints}
    here = {name: f for name, f in space.families.items() if name not in fetched}
    check_models(replace(space, families=here), corpus)
    return corpus, fetched


def _show_plan(
    space: SearchSpace,
    corpus: Corpus,
    fetched: dict[str, list[str]],
    console: Console,
    cache: Path,
    feature_bytes: int,
    *,
    workers: int,
) -> None:
    everything = None
    if space.retrain is not None:
        everything = outline(space, cache, space.retrain.labels)
    families = [family for family in _families(space) if family.name not in fetched]
    store = FeatureStore(cache / "features", feature_bytes)
    with tracking(True) as track:
        found = measure_space(space, corpus, everything, store, families, track)
    show_forecast(
        found, space, corpus, fetched, console, workers=workers, feature_bytes=feature_bytes
    )


def _families(space: SearchSpace) -> list[Family]:
    return list(space.families.values())


def _configurations(space: SearchSpace, family: Family) -> list[dict[str, Any]]:
    """All of a grid, or one example of what a sampler may suggest."""
    if space.search.sampler == "grid":
        return family.grid()
    return [example_configuration(family)]


def _sizes(space: SearchSpace, configurations: Configurations, corpus: Corpus) -> Table:
    """Parameter counts of every family, over all that its configurations make of it."""
    table = Table(title=f"Parameters (with {len(corpus.labels)} labels)", title_justify="left")
    for column in ("family", "model", "trainable", "frozen", "configurations"):
        table.add_column(column, justify="left" if column in ("family", "model") else "right")
    for family in (space.families[name] for name in configurations):
        kinds = {
            str(kwargs): kwargs for _, kwargs in map(family.split, configurations[family.name])
        }
        counts = [
            parameter_counts(build_model(family.model, *corpus.form, **kwargs))
            for kwargs in kinds.values()
        ]
        table.add_row(
            family.name,
            family.model,
            _span(count["trainable_parameters"] for count in counts),
            _span(count["frozen_parameters"] for count in counts),
            str(len(configurations[family.name])) if space.search.trials is None else "sampled",
        )
    return table


def _span(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def _grid(configurations: Configurations) -> Table:
    """Every configuration of the grid, with only what varies in a family."""
    trials = [
        TrialRecord("search", family, i, configuration, "waiting", None)
        for family, of_family in configurations.items()
        for i, configuration in enumerate(of_family)
    ]
    names = list(varying(trials))
    table = Table(title="Configurations", title_justify="left")
    for column in ("", "family", *names):
        table.add_column(column, justify="left" if column == "family" else "right")
    for number, trial in enumerate(trials, start=1):
        values = (format_value(trial.params[n]) if n in trial.params else "" for n in names)
        table.add_row(str(number), trial.family, *values)
    return table
