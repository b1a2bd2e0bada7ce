"""--dry-run: what a search would run, or what it would refuse, without decoding anything."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from tune_audio.data.columns import columns
from tune_audio.data.corpus import Corpus
from tune_audio.data.load import list_clips
from tune_audio.data.selection import select_clips
from tune_audio.data.windows import check_windows
from tune_audio.models import build_model
from tune_audio.reporting.ranking import varying
from tune_audio.reporting.records import TrialRecord
from tune_audio.reporting.values import format_value
from tune_audio.space import Family, SearchSpace
from tune_audio.space.parameters import corpus_parameters, dataset_parameters
from tune_audio.training.complexity import parameter_counts
from tune_audio.tuning.check import check_models
from tune_audio.tuning.samplers import example_configuration

Configurations = dict[str, list[dict[str, Any]]]  # of each family


def show(space: SearchSpace, console: Console) -> None:
    """Print the resolved space, the families' parameter counts and a grid's configurations.

    Raises UserError where the search would, but for what only decoding shows.
    """
    corpus = _outline(space)
    check_models(space, corpus)
    console.print(Syntax(space.to_yaml(), "yaml", background_color="default"))
    configurations = {family.name: _configurations(space, family) for family in _families(space)}
    console.print(_sizes(space, configurations, corpus))
    if space.search.sampler == "grid":
        console.print(_grid(configurations))
    total = sum(map(len, configurations.values()))
    trials = space.search.trials
    count = total if trials is None else trials * len(configurations)
    console.print(f"{count} trials of up to {space.epochs} epochs")


def _families(space: SearchSpace) -> list[Family]:
    return list(space.families.values())


def _configurations(space: SearchSpace, family: Family) -> list[dict[str, Any]]:
    """All of a grid, or one example of what a sampler may suggest."""
    if space.search.sampler == "grid":
        return family.grid()
    return [example_configuration(family)]


def _outline(space: SearchSpace) -> Corpus:
    """The space's corpus as if every recording could be read, without a sample of them."""
    given = {name: parameter.default for name, parameter in corpus_parameters().items()}
    given |= space.data
    root, seconds, rate = Path(given["root"]), given["clip_seconds"], given["sample_rate"]
    root = root.absolute()
    options = {name: given[name] for name in dataset_parameters(given["name"]) if name in given}
    listing = list_clips(given["name"], root, **options)
    check_windows(listing, seconds)
    choices = ("labels", "clips_per_label", "split", "split_by", "seed")
    selection = select_clips(listing, root, **{name: given[name] for name in choices})
    count = len(selection.clips)
    return Corpus(
        folder=root,
        fingerprint="",
        labels=list(selection.labels),
        multi_label=selection.multi_label,
        clip_samples=round(seconds * rate),
        sample_rate=rate,
        samples=np.zeros(0, np.int16),
        start=np.zeros(count, np.int64),
        length=np.zeros(count, np.int64),
        group=[clip.group or "" for clip in selection.clips],
        names=list(selection.names),
        noise=[],
        skipped=[],
        **columns(selection, np.arange(count)),
    )


def _sizes(space: SearchSpace, configurations: Configurations, corpus: Corpus) -> Table:
    """Parameter counts of every family, over all that its configurations make of it."""
    table = Table(title=f"Parameters (with {len(corpus.labels)} labels)", title_justify="left")
    for column in ("family", "model", "trainable", "frozen", "configurations"):
        table.add_column(column, justify="left" if column in ("family", "model") else "right")
    for family in _families(space):
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
