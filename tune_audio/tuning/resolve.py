"""From a space that says auto to one that a run can keep: decided once, told, and then fixed."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_audio.data.assume import AUTO, assume
from tune_audio.escaping import printable
from tune_audio.space import Family, Search, SearchSpace
from tune_audio.space.domains import Fixed
from tune_audio.space.parameters import dataset_parameters
from tune_audio.training.metrics import CLIP, METRICS
from tune_audio.tuning.demo import COMPACT, announce, demonstration, is_demonstration, named

COMPACT_SECONDS, COMPACT_RATE = 1.0, 16_000  # of what the compact backbones were trained on
FEWEST_FRAMES = 16  # a patch


def prepared(space: SearchSpace, console: Console, cache: Path) -> SearchSpace:
    """The space as a search runs it: a demonstration where it has no data, and resolved."""
    if "root" not in space.data:
        announce(space, console)
        space = demonstration(space, cache)
    elif is_demonstration(space):  # a resumed one
        announce(space, console)
    return resolve(named(space), console)


def resolve(space: SearchSpace, console: Console) -> SearchSpace:
    """The space with every auto of `data` decided by the recordings, and the reasons shown.

    Raises UserError for a folder that does not fit the data set.
    """
    if AUTO in (value for value in space.data.values() if isinstance(value, str)):
        known = dataset_parameters(space.data["name"])
        data, lines, assumptions = assume(space.data, known)
        say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        for line in lines:
            say(printable(line))
        say("Assumed, and kept in the run's space.yaml:")
        for assumption in assumptions:
            say(printable(f"- {assumption.reason}"))
            if assumption.otherwise:
                say(f"  Otherwise: {assumption.otherwise}")
        space = replace(space, data=data, search=_by_clip(space.search, data))
    seconds = space.data.get("clip_seconds", COMPACT_SECONDS)
    families = {name: _whole_clips(f, seconds) for name, f in space.families.items()}
    return replace(space, families=families)


def _by_clip(search: Search, data: dict[str, Any]) -> Search:
    """Where recordings are cut into windows, trials are compared by whole recordings."""
    name = search.metric.removeprefix("val/")
    if not data.get("window_seconds") or name.startswith(CLIP) or METRICS[name].function is None:
        return search
    return search.model_copy(update={"metric": f"val/{CLIP}{name}"})


def _whole_clips(family: Family, clip_seconds: float) -> Family:
    """A compact AST would else hear the first second of every clip, for which it was trained."""
    if (
        clip_seconds == COMPACT_SECONDS
        or family.domains.get("checkpoint") != Fixed(COMPACT)
        or family.model != "ast"
        or "max_length" in family.domains
    ):
        return family
    from tune_audio.features.spectrograms import KaldiFbank

    whole = KaldiFbank.frames(round(clip_seconds * COMPACT_RATE), COMPACT_RATE)
    frames = max(FEWEST_FRAMES, whole)
    return replace(family, domains=family.domains | {"max_length": Fixed(frames)})
