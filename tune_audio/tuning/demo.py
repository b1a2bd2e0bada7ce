"""Without --data a search is a demonstration: synthetic audio, compact backbones, said aloud.

The rule: real data goes with the space's own checkpoints, synthetic data with the compact ones,
and nothing changes from one to the other silently.
"""

import hashlib
import json
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tune_audio.data.progress import tracking
from tune_audio.errors import UserError
from tune_audio.space import Family, SearchSpace
from tune_audio.space.domains import Fixed
from tune_audio.space.parameters import model_parameters

COMPACT = "compact"  # as models/pretrained.py calls it, which takes seconds to import
COMPACT_WEIGHTS = Path(__file__).parents[1] / "models" / "compact"  # a folder a model
MADE = "made-"  # how the folder of a synthetic corpus begins
SPEECH_DATA_SETS = ("speech_commands", "speech_commands12", "kaggle_speech")
SOUND_DATA_SETS = {
    "esc50": "tune_audio.data.synthesis.environment:make_esc50",
    "fsd50k": "tune_audio.data.synthesis.environment:make_fsd50k",
}
# What the search listens to gets the clips it asks for; the rest of the 35 words, which only the
# retraining hears, get fewer, so that it ends in minutes.
CLIPS_PER_SEARCHED_WORD = 1000
CLIPS_PER_OTHER_WORD = 100
# About so many clips a word the real sets have, beside which spaces count silence and unknown.
REAL_CLIPS_PER_WORD = 2000


def is_demonstration(space: SearchSpace) -> bool:
    """Whether the space's data were synthesised here."""
    root = Path(space.data.get("root", ""))
    return root.parent.name == "synthetic" and root.name.startswith(MADE)


def demonstration(space: SearchSpace, cache: Path) -> SearchSpace:
    """The space with a synthetic corpus and compact backbones instead of what is not here.

    Raises:
        UserError: espeak-ng is not installed, or every family needs weights that are not here.
    """
    families = {f.name: _compact(f) for f in space.families.values() if _has_weights(f)}
    if not families:
        raise UserError(
            f"data.root: no compact weights come for the models of {space.name}; give its data "
            "set with --data FOLDER, and its checkpoints are fetched"
        )
    folder, name = cache / "synthetic", space.data["name"]
    if name in SPEECH_DATA_SETS:
        root = _speak(space, folder)
        space = replace(space, data=space.data | _fewer(space.data))
    else:
        root = pkgutil.resolve_name(SOUND_DATA_SETS[name])(folder / f"{MADE}{name}")
    return replace(space, families=families).with_data_root(root)


def announce(space: SearchSpace, console: Console) -> None:
    """The line that nobody is to miss, and the one that turns it into the real thing.

    Raises:
        UserError: nobody can synthesise this data set.
    """
    if space.data["name"] not in (*SPEECH_DATA_SETS, *SOUND_DATA_SETS):
        raise UserError(
            f"data.root: the space {space.name} searches recordings of yours; give their folder "
            "with --data FOLDER"
        )
    console.print(
        Text("Demonstration:", style="bold"),
        "synthesised audio and, for pretrained families, compact backbones of a million "
        "parameters; its figures say nothing about real recordings.\n"
        f"The real thing: python -m tune_audio.search --space {space.name} --data FOLDER",
    )
    if lacking := [family.name for family in space.families.values() if not _has_weights(family)]:
        console.print(f"Left out, for no compact weights come for them: {', '.join(lacking)}")


def _compact(family: Family) -> Family:
    """The family on the compact checkpoint that comes with the package, if it is pretrained."""
    if not _is_pretrained(family):
        return family
    # The length is that of the checkpoint which is replaced.
    domains = {name: d for name, d in family.domains.items() if name != "max_length"}
    return replace(family, domains=domains | {"checkpoint": Fixed(COMPACT)})


def _has_weights(family: Family) -> bool:
    return not _is_pretrained(family) or (COMPACT_WEIGHTS / family.model).is_dir()


def _is_pretrained(family: Family) -> bool:
    starts = family.domains.get("initial_weights")
    return "checkpoint" in model_parameters(family.model) and starts != Fixed("random")


def _fewer(data: dict[str, Any]) -> dict[str, int]:
    """Clips of silence and of unknown words, as many beside the synthetic words as beside real."""
    real = {name: data.get(name) for name in ("silence_clips", "unknown_clips")}
    share = CLIPS_PER_OTHER_WORD / REAL_CLIPS_PER_WORD
    return {name: max(1, round(share * count)) for name, count in real.items() if count}


def named(space: SearchSpace) -> SearchSpace:
    """The space with every family on compact weights called so: wav2vec2-compact."""
    families = {}
    for family in space.families.values():
        checkpoint = family.domains.get("checkpoint")
        name = family.name
        if checkpoint == Fixed(COMPACT) and not name.endswith(f"-{COMPACT}"):
            name = f"{name}-{COMPACT}"
            if name in space.families:
                raise UserError(
                    f"models.{family.name}: on compact weights it is called {name}, which is there "
                    "already; give one of them another name"
                )
        families[name] = replace(family, name=name)
    return replace(space, families=families)


def _speak(space: SearchSpace, folder: Path) -> Path:
    """The synthetic corpus for a space, spoken if it is not in the cache."""
    from tune_audio.data.synthesis.synthetic import SPEECH_COMMANDS_WORDS, synthesize

    asked = space.data.get("labels", "all")
    searched = SPEECH_COMMANDS_WORDS if asked == "all" else asked
    few = CLIPS_PER_OTHER_WORD if asked == "all" else CLIPS_PER_SEARCHED_WORD
    wanted = space.data.get("clips_per_label") or few
    words = list(dict.fromkeys([*searched, *SPEECH_COMMANDS_WORDS]))
    clips = {word: wanted if word in searched else CLIPS_PER_OTHER_WORD for word in words}
    key = hashlib.sha1(json.dumps(clips).encode()).hexdigest()[:12]
    with tracking(True) as track:
        return synthesize(folder / f"{MADE}{key}", words, clips, track=track)
