"""tune-audio plan: what a search takes, before it runs; and the same in search --dry-run."""

import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from make_audio import make_class_folder

from tune_audio.data import load as load_module
from tune_audio.data.content import CLOCK_TICK_SECONDS
from tune_audio.data.load import load_corpus
from tune_audio.errors import UserError
from tune_audio.plan import plan
from tune_audio.search import search

SPACE = """
data: {name: folder, split: [0.6, 0.2, 0.2]}
train: {epochs: 4}
search: {sampler: grid, scheduler: asha, reduction_factor: 2}
params: {lr: [1e-2, 1e-3], augment: [none, noise]}
models:
  lstm_cnn: {channels: 4, hidden_size: [4, 8]}
  wav2vec2: {checkpoint: compact}
retrain: {labels: same}
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("data")
    return make_class_folder(place / "animals", {"dog": 20, "rain": 20})


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TUNE_AUDIO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "animals.yaml").write_text(SPACE)


def run(command, tmp_path: Path, recordings: Path, *more: str) -> Result:
    given = ["--space", str(tmp_path / "animals.yaml"), "--data", str(recordings), *more]
    return CliRunner().invoke(command, given, standalone_mode=False, catch_exceptions=False)


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each family's row."""
    lines = [line.strip("│ \n").split("│") for line in text.splitlines() if line.startswith("│")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_what_a_search_takes_is_told_without_decoding(recordings, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan decodes nothing")

    monkeypatch.setattr(load_module, "write_corpus", refuse)
    text = run(plan, tmp_path, recordings, "--workers", "3").output
    table = rows(text)
    assert table["lstm_cnn"][:2] == ["8", "4"] and table["wav2vec2-compact"][:2] == ["4", "4"]
    memory = re.fullmatch(r"(\d+) MB", table["lstm_cnn"][4])
    assert memory and 100 < int(memory[1]) < 2_000
    assert re.search(r"Here \(\d+ CPUs, 0 GPUs\): .+, then \d+ s of retraining", text)
    assert "On 3 machines like this one: " in text and "where asha stops" in text
    assert "still to be decoded" in text and "Noise was measured" in text
    assert max(map(len, (line for line in text.splitlines() if "│" in line))) <= 80
    assert not (tmp_path / "cache" / "corpora").exists() and not (tmp_path / "runs").exists()


def test_what_has_been_decoded_is_measured_itself(recordings, tmp_path):
    newest = max(file.stat().st_ctime for file in recordings.rglob("*"))
    time.sleep(max(0.0, newest + CLOCK_TICK_SECONDS - time.time()) + 0.01)
    load_corpus("folder", recordings, split=(0.6, 0.2, 0.2), cache=tmp_path / "cache")
    text = run(plan, tmp_path, recordings, "--models", "lstm_cnn").output
    assert "lie there decoded" in text and "still to be decoded" not in text


def test_a_checkpoint_that_is_not_here_is_named_and_neither_fetched_nor_measured(
    recordings, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    text = run(plan, tmp_path, recordings, "--checkpoint", "wav2vec2=somebody/something").output
    assert rows(text).keys() == {"lstm_cnn"}
    assert "wav2vec2: not measured; the search first fetches somebody/something" in text


def test_a_family_that_fits_nowhere_is_told(recordings, tmp_path):
    text = run(
        plan, tmp_path, recordings, "--models", "lstm_cnn", "--set", "search.cpus_per_trial=999"
    ).output
    assert "lstm_cnn: not known: a trial needs 999 CPUs" in text and "Here" not in text


def test_the_dry_run_shows_it_too(recordings, tmp_path):
    text = run(search, tmp_path, recordings, "--models", "lstm_cnn", "--dry-run").output
    assert "8 trials of up to 4 epochs" in text and "In the cache: " in text
    assert "What it takes" in text


def test_what_a_search_would_refuse(recordings, tmp_path):
    with pytest.raises(UserError, match=r"data\.labels"):
        run(plan, tmp_path, recordings, "--set", "data.labels=[dog, cat]")
    with pytest.raises(UserError, match="--space"):
        CliRunner().invoke(plan, [], standalone_mode=False, catch_exceptions=False)
