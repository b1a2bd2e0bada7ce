"""--dry-run refuses what the search would, and decodes nothing to find out."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from make_audio import make_class_folder, make_speech_commands

from tune_audio.costs.measure import Measurement, Prefix
from tune_audio.data import load as load_module
from tune_audio.data.synthesis.environment import make_esc50, make_fsd50k
from tune_audio.errors import UserError
from tune_audio.search import search
from tune_audio.tuning import measured_space

SPACES = {
    "speech4": ("speech_commands", "lstm_cnn"),
    "esc10_cnn": ("esc50", "cnn_mel"),
    "fsd50k_tpe": ("fsd50k", "conv_mixer"),
    "own": ("folder", "lstm_cnn"),
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("data")
    return {
        "speech_commands": make_speech_commands(place / "speech", lists=True),
        "esc50": make_esc50(place / "esc50", clips_per_class=5),
        "fsd50k": make_fsd50k(place / "fsd50k", clips=70, longest_seconds=0.5),
        "folder": make_class_folder(place / "folder", {"dog": 20, "rain": 20}),
    }


@pytest.fixture(autouse=True)
def nothing_decoded(monkeypatch, tmp_path):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a dry run decodes nothing")

    monkeypatch.setattr(load_module, "write_corpus", refuse)
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TUNE_AUDIO_RUNS", str(tmp_path / "runs"))


def dry_run(space: str, root: Path, *changes: str) -> Result:
    given = ["--space", space, "--models", SPACES[space][1], "--data", str(root), "--dry-run"]
    given += [part for change in changes for part in ("--set", change)]
    return CliRunner().invoke(search, given, standalone_mode=False)


@pytest.fixture
def measured_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is for tests/test_plan.py; here it is of the largest spaces there are."""

    def answers(requests, at_once):
        for key, request in requests.items():
            prefixes = dict.fromkeys(["none", *request.augments], Prefix(1e-4, 100))
            yield key, Measurement("cpu", None, 10**9, 1e-3, 1e-3, 0.1, prefixes)

    monkeypatch.setattr(measured_space, "measure_apart", answers)


@pytest.mark.usefixtures("measured_in_no_time")
@pytest.mark.parametrize("space", SPACES)
def test_what_can_be_run(space, roots, tmp_path):
    done = dry_run(space, roots[SPACES[space][0]])
    assert done.exception is None and "trials of up to" in done.output
    assert not (tmp_path / "cache" / "corpora").exists() and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        ("speech4", ["data.labels=[yes, nope]"], "data.labels: 'nope' does not exist"),
        ("speech4", ["data.labels=[yes]"], "a classifier needs two or more"),
        ("speech4", ["data.split=[0.85, 0, 0.15]"], r"data.split: got \(0.85, 0.0, 0.15\)"),
        ("esc10_cnn", ["search.folds=3"], "the data set has 4 folds of its own"),
        ("esc10_cnn", ["data.window_seconds=1"], "got 5, but data.window_seconds is 1"),
        ("fsd50k_tpe", ["params.loss=cross_entropy"], "conv_mixer: loss: got cross_entropy, which"),
        ("fsd50k_tpe", ["search.metric=val/accuracy"], "got val/accuracy, which needs one label"),
        ("own", ["data.split=official"], "40 of 40 clips have no official split"),
        ("own", ["data.split_by=speaker"], "40 of 40 clips have no known speaker"),
        ("own", ["search.folds=30"], "too few recordings or speakers: dog 17, rain 17"),
    ],
)
def test_what_the_search_would_refuse(space, changes, message, roots):
    done = dry_run(space, roots[SPACES[space][0]], *changes)
    with pytest.raises(UserError, match=message):
        raise done.exception


def test_a_folder_of_something_else(roots):
    done = dry_run("speech4", roots["folder"])
    with pytest.raises(UserError, match="as Speech Commands has"):
        raise done.exception
