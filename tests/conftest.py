"""What several test files need: a small folder of real files on disk, and the corpus made of it."""

import os
from pathlib import Path

# Before torch starts: tests share few cores with others, and idle threads are not to spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from make_tones import write_tones

from tune_audio.data.corpus import Corpus
from tune_audio.data.load import load_corpus

# Minutes by themselves: what starts last is what all others wait for.
FIRST = (
    "test_three_hosts.py",
    "test_end_to_end.py",
    "test_study.py",
    "test_contributing.py",
    "test_spaces_run.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(FIRST)))


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_one_s_own() -> None:
    """What a developer has set for searches of their own is not for those of the tests."""
    for name in [name for name in os.environ if name.startswith(("TUNE_AUDIO_", "MLFLOW_"))]:
        del os.environ[name]


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="session")
def tone_corpus(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three labels, 72 + 24 + 24 clips of half a second."""
    cache = tmp_path_factory.mktemp("cache")
    return load_corpus("folder", tones, split=[0.6, 0.2, 0.2], clip_seconds=0.5, cache=cache)


@pytest.fixture(scope="session")
def trained(tone_corpus: Corpus):
    """An LSTMCNN that tells the three pitches apart."""
    from pitch_model import train  # torch is not for every test

    return train(tone_corpus)


@pytest.fixture(scope="session")
def model(trained, tone_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which it is saved."""
    from pitch_model import save

    return save(tmp_path_factory.mktemp("pitches") / "model", trained, tone_corpus.labels)
