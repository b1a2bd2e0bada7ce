"""Folders as newcomers have them, and what is assumed of them."""

from collections import defaultdict

from make_audio import tone, write_audio

from tune_audio.data.assume import assume
from tune_audio.data.corpus import Corpus
from tune_audio.data.load import load_corpus
from tune_audio.space.parameters import dataset_parameters

AUTO = {"clip_seconds": "auto", "split": "auto", "split_by": "auto"}


def assumed(root, name="folder", **given):
    """The decided options, and all that is told of them as one text."""
    data = {"name": name, "root": str(root), **AUTO, **given}
    decided, lines, assumptions = assume(data, dataset_parameters(name))
    return decided, "\n".join([*lines, *(a.reason + a.otherwise for a in assumptions)])


def corpus_of(decided, cache) -> Corpus:
    options = {key: value for key, value in decided.items() if key not in ("name", "root")}
    return load_corpus(decided["name"], decided["root"], cache=cache, **options)


def splits_of(corpus, of) -> dict:
    """The set of splits that each of `of` (one a row) is in."""
    found = defaultdict(set)
    for key, part in zip(of, corpus.split.tolist(), strict=True):
        found[key].add(part)
    return found


def write_classes(root, labels, names, seconds=0.6, rate=8_000):
    for label in labels:
        for number, name in enumerate(names):
            write_audio(root / label / name, tone(seconds, rate, 300 + number), rate)
    return root
