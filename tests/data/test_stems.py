"""Which files were cut from one recording, as far as their names say it."""

import numpy as np
import pytest
from make_audio import write_audio
from surveyed import assumed, corpus_of, splits_of

from tune_audio.data.grouping import find_groups
from tune_audio.data.stems import cut_from

CLASSES = ("cough", "key", "laugh", "mouse")
RANDOM = np.random.default_rng(0)
TIMES = [tuple(RANDOM.integers((5, 1, 0, 0, 0), (7, 9, 24, 60, 60))) for _ in range(60)]
NUMBERS = RANDOM.choice(900_000, 40, replace=False).tolist()


def sources(forms: list[str]) -> set[str] | None:
    """The stems found in these names of each class; {c} is the class, {k} its number."""
    names = [f"{c}/{form.format(c=c, k=k)}" for k, c in enumerate(CLASSES) for form in forms]
    known = cut_from(names, [(name.split("/")[0],) for name in names])
    return known and {group for group in find_groups(names, known.pattern) if group}


@pytest.mark.parametrize(
    ("form", "stem"),
    [
        ("{{c}}_{s}.m4a_{n}.flac", "cough_1.m4a"),
        ("{{c}}-{s}.WAV-{n:03}.wav", "cough-1.WAV"),
        ("take{{k}}{s}_seg{n:02}.wav", "take01"),
        ("{s}xyz{{k}}-chunk-{n}.wav", "1xyz0"),
        ("{s}xyz{{k}} part {n}.wav", "1xyz0"),
        ("{s}xyz{{k}}_slice_{n}_{n}5.wav", "1xyz0"),
        ("{{c}}_{s}_{n}.wav", "cough_1"),
        ("rec {s}{{k}} {n:02}.mp3", "rec 10"),
        ("a7{s}c-2{{k}}_{n}.wav", "a71c-20"),
    ],
)
def test_slices_are_of_their_recording(form, stem) -> None:
    found = sources([form.format(s=s, n=n) for s in (1, 2, 3) for n in (0, 1, 2, 5, 12)])
    assert len(found) == 12 and f"cough/{stem}" in found


@pytest.mark.parametrize(
    "forms",
    [
        [f"clip_{n:04}.wav" for n in range(300)],
        [f"{{c}}{n}.wav" for n in range(40)],
        [f"{{c}}_{n}.wav" for n in range(40)],
        [f"{{c}} ({n}).wav" for n in range(40)],
        [f"part{n}.wav" for n in range(40)],
        [f"{{c}}_part{n}.wav" for n in range(40)],  # one stem a class
        [f"mic1_{n}.wav" for n in range(40)],
        [f"mic{mic}_{n}.wav" for mic in (1, 2) for n in range(40)],
        [f"{kind}_{n}.wav" for kind in ("husky", "poodle", "pug", "collie") for n in range(20)],
        [f"{number:06}.wav" for number in NUMBERS],
        [f"{number}_{n}.wav" for n, number in enumerate(NUMBERS)],
        [f"{n}__someone__dog-bark-{n % 5}.wav" for n in NUMBERS],
        [f"{n:08x}_nohash_{take}.wav" for n in NUMBERS[:4] for take in range(4)],
        [f"{fold}-{n}-{take}-{{k}}.wav" for fold in "123" for n in NUMBERS[:9] for take in "AB"],
        [f"{n}-{{k}}-0-{take}.wav" for n in NUMBERS[:9] for take in range(4)],
        [f"{{k}}_{who}_{n}.wav" for who in ("jackson", "nico", "theo") for n in range(20)],
        [f"2024{m:02}{d:02}_{h:02}{n:02}{s:02}.wav" for m, d, h, n, s in TIMES],
        [f"2024-{m:02}-{d:02}_{h:02}-{n:02}-{s:02}.wav" for m, d, h, n, s in TIMES],
        [f"2024-{m:02}-{d:02} {h:02}.{n:02}.{s:02}.wav" for m, d, h, n, s in TIMES],
        [f"2024-05-{day:02}.wav" for day in range(1, 29)],
    ],
)
def test_counters_identifiers_and_times_are_no_sources(forms) -> None:
    assert sources(forms) is None


def test_some_classes_may_be_whole_recordings() -> None:
    names = [f"cough/cough_{s}.m4a_{n}.flac" for s in range(4) for n in range(6)]
    labels = [("cough",)] * len(names) + [("dog",)] * 50
    assert cut_from([*names, *(f"dog/{n}.wav" for n in range(50))], labels) is not None
    labels += [("dog",)] * 50
    assert cut_from([*names, *(f"dog/{n}.wav" for n in range(100))], labels) is None


def test_slices_of_few_recordings_stay_in_one_split(tmp_path) -> None:
    for label, sizes in zip(
        CLASSES, ((14, 8, 5), (9, 9, 9), (20, 3, 4), (1, 2, 3, 21)), strict=True
    ):
        for source, size in enumerate(sizes, 1):
            for n in range(size):
                name = f"{label}_{source}.m4a_{n}.flac"
                write_audio(tmp_path / "data" / label / name, RANDOM.uniform(-0.5, 0.5, 1_600))
    decided, told = assumed(tmp_path / "data")
    assert "13 sources in the names (such as 'cough/cough_1.m4a'): none of them is in two" in told
    assert "--set data.group_pattern=null" in told and decided["split_by"] == "source"
    corpus = corpus_of(decided, tmp_path / "cache")
    assert all(len(splits) == 1 for splits in splits_of(corpus, corpus.group).values())
    assert all(len(splits) == 3 for splits in splits_of(corpus, corpus.targets.tolist()).values())
    decided, told = assumed(tmp_path / "data", group_pattern=None)
    assert decided["split_by"] == "label" and "clip by clip" in told


def test_two_recordings_a_class_cannot_be_in_three_splits(tmp_path) -> None:
    for label in CLASSES:
        for source, n in ((source, n) for source in (1, 2) for n in range(9)):
            write_audio(tmp_path / label / f"{label}{source}_seg{n}.wav")
    decided, told = assumed(tmp_path)
    assert decided["split_by"] == "label" and "group_pattern" not in decided
    assert "8 sources in the names (such as 'cough/cough1') cannot be kept apart" in told
    assert "results look better than they are" in told
