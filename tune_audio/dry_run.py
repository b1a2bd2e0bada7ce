"""--dry-run: what a search would run, without running it."""

import pkgutil
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from tune_audio.complexity import parameter_counts
from tune_audio.data.clips import SAMPLE_RATE
from tune_audio.data.corpus import list_clips
from tune_audio.models import MODELS
from tune_audio.records import TrialRecord
from tune_audio.reporting.ranking import format_value, varying
from tune_audio.samplers import example_configuration
from tune_audio.space import Family, SearchSpace
from tune_audio.space.parameters import dataset_parameters


def show(space: SearchSpace, console: Console) -> None:
    """Print the resolved space, the families' parameter counts and a grid's configurations."""
    console.print(Syntax(space.to_yaml(), "yaml", background_color="default"))
    configurations = {family.name: _configurations(space, family) for family in _families(space)}
    console.print(_sizes(space, configurations))
    if space.search.sampler == "grid":
        console.print(_grid(configurations))
    total = sum(map(len, configurations.values()))
    trials = space.search.trials
    count = total if trials is None else trials * len(configurations)
    console.print(f"{count} trials of up to {space.epochs} epochs")


def _families(space: SearchSpace) -> list[Family]:
    return list(space.families.values())


def _configurations(space: SearchSpace, family: Family) -> list[dict]:
    """All of a grid, or one example of what a sampler may suggest."""
    if space.search.sampler == "grid":
        return family.grid()
    return [example_configuration(family)]


def _sizes(space: SearchSpace, configurations: dict[str, list[dict]]) -> Table:
    """Parameter counts of every family, over all that its configurations make of it."""
    num_labels = _count_labels(space)
    clip_samples = round(space.data.get("clip_seconds", 1.0) * SAMPLE_RATE)
    table = Table(title=f"Parameters (with {num_labels} labels)", title_justify="left")
    for column in ("family", "model", "trainable", "frozen", "configurations"):
        table.add_column(column, justify="left" if column in ("family", "model") else "right")
    for family in _families(space):
        model_class = pkgutil.resolve_name(MODELS[family.model])
        kinds = {
            str(kwargs): kwargs for _, kwargs in map(family.split, configurations[family.name])
        }
        counts = [
            parameter_counts(model_class(num_labels, clip_samples, **kwargs))
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


def _count_labels(space: SearchSpace) -> int:
    labels = space.data.get("labels", "all")
    if labels == "all":
        known = dataset_parameters(space.data["name"])
        options = {name: value for name, value in space.data.items() if name in known}
        labels = list_clips(space.data["name"], Path(space.data["root"]), **options).labels
    return len(labels)


def _span(counts) -> str:
    found = sorted(set(counts))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def _grid(configurations: dict[str, list[dict]]) -> Table:
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
