"""A space's corpus as it is known before anything is decoded."""

from pathlib import Path
from typing import Any

import numpy as np

from tune_audio.data.clips import Decoding
from tune_audio.data.columns import columns
from tune_audio.data.corpus import Corpus
from tune_audio.data.corrections import corrected
from tune_audio.data.duplicates.found import recall
from tune_audio.data.duplicates.sides import among, join
from tune_audio.data.load import find_corpus, list_clips
from tune_audio.data.selection import select_clips
from tune_audio.data.windows import check_windows
from tune_audio.space import SearchSpace
from tune_audio.space.parameters import corpus_parameters, dataset_parameters

NOISE_SECONDS = 60


class Outline(Corpus):
    """A corpus on no disk, of as many clips as there will be: the same noise for each of them.

    To train on it takes the time and the memory that the recordings will. Pickled whole.
    """

    def __reduce__(self) -> Any:
        return Outline, tuple(vars(self).values())


def outline(space: SearchSpace, cache: Path, labels: str = "same") -> Corpus:
    """The space's corpus if it has been decoded, else as if every recording could be read.

    labels: "all" for those of a retraining. Raises UserError as `load_corpus` does.
    """
    given = {name: parameter.default for name, parameter in corpus_parameters().items()}
    given |= space.data
    if labels == "all":
        given |= {"labels": "all", "clips_per_label": None}
    root, seconds, rate = Path(given["root"]), given["clip_seconds"], given["sample_rate"]
    root = root.absolute()
    options = {name: given[name] for name in dataset_parameters(given["name"]) if name in given}
    listing = list_clips(given["name"], root, **options)
    check_windows(listing, seconds)
    pairs = recall(listing, root, cache) if given["duplicates"] == "apart" else None
    if given["corrections"] is not None:
        listing = corrected(listing, root, given["corrections"])
    if pairs and (pairs := among(listing, root, pairs)):
        listing = join(listing, root, pairs)
    choices = ("labels", "clips_per_label", "split", "split_by", "seed")
    selection = select_clips(listing, root, **{name: given[name] for name in choices})
    if decoded := find_corpus(selection, Decoding(seconds, rate, given["peak"]), cache):
        return decoded
    count, samples = len(selection.clips), round(seconds * rate)
    draw = np.random.default_rng(0)
    longest = max(samples, NOISE_SECONDS * rate)
    sound = draw.integers(-8_000, 8_000, longest, np.int16, endpoint=True)
    return Outline(
        folder=root,
        fingerprint="",
        labels=list(selection.labels),
        multi_label=selection.multi_label,
        clip_samples=samples,
        sample_rate=rate,
        peak=given["peak"],
        samples=sound,
        start=np.zeros(count, np.int64),
        length=np.full(count, samples, np.int64),
        group=[clip.group or "" for clip in selection.clips],
        names=list(selection.names),
        noise=[sound] if selection.noise else [],
        skipped=[],
        loud={},
        **columns(selection, np.arange(count)),
    )
