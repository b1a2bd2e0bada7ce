"""An audit of a small search: what is listed, and what a person's decisions become."""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from make_audio import RATE
from make_tones import write_tones

from tune_audio.__main__ import COMMANDS
from tune_audio.audit import audit
from tune_audio.data.corpus import Corpus
from tune_audio.data.load import load_corpus
from tune_audio.errors import UserError
from tune_audio.run_folder import RunFolder
from tune_audio.space import load_space
from tune_audio.training.kept import FILE
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage

CLEANLAB = "cleanlab is not installed: pip install 'tune-audio[audit]'"
SPLIT = (0.6, 0.2, 0.2)
SPACE = """
data: {{name: folder, root: {root}, split: [0.6, 0.2, 0.2], clip_seconds: 0.5}}
train: {{epochs: 1}}
search: {{sampler: grid, folds: {folds}}}
models: {{lstm_cnn: {{}}, gru: {{}}}}
"""


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Tones; one is silent, one clipped, one cut off, and one stands in two folders."""
    root = write_tones(tmp_path / "tones", clips_per_tone=40)
    time = np.arange(RATE // 2) / RATE
    sine = np.sin(2 * np.pi * 440 * time)
    soundfile.write(root / "low" / "silent.wav", 0 * sine, RATE)
    soundfile.write(root / "low" / "clipped.wav", np.clip(4 * sine, -1, 1), RATE)
    soundfile.write(root / "low" / "cut.wav", np.where(time > 0.3, 0.5 * sine, 0), RATE)
    soundfile.write(root / "low" / "longer.wav", np.pad(0.5 * sine, RATE), RATE)
    shutil.copy(root / "high" / "000.wav", root / "middle" / "copy.wav")
    return root


def keep(path: Path, corpus: Corpus, folds: int | None, wrong: int) -> None:
    """What a sure trial leaves: it hears each clip as it is labelled, but for one."""
    rows = np.flatnonzero(corpus.split < 2) if folds else corpus.rows("validation")
    said = corpus.targets[rows].copy()
    said[wrong] = (said[wrong] + 1) % 3
    noise = np.random.default_rng(0).normal(0, 0.1, (len(rows), 3))
    noise[wrong, said[wrong]] = 1  # above its label's average, which is what confident means
    fold = np.arange(len(rows)) % (folds or 1)
    path.parent.mkdir(parents=True)
    np.savez(path, logits=np.float16(5 * np.eye(3)[said] + noise), row=rows, fold=fold, epoch=1)


def searched(place: Path, root: Path, folds: int | None = None, wrong: int = 0) -> RunFolder:
    """A run of two families that has ended, with its predictions."""
    run = RunFolder(place / "runs" / "mine")
    run.path.mkdir(parents=True)
    run.space.write_text(SPACE.format(root=root, folds=folds or "null"))
    corpus = load_corpus("folder", root, split=SPLIT, clip_seconds=0.5, cache=place / "cache")
    space = load_space(run.space)
    plans = [Plan(family, family.grid()) for family in space.families.values()]
    storage = Storage(run.database, plans, space.search, epochs=1, corpus=corpus.fingerprint)
    for _ in plans:
        key = storage.next().key
        epochs = [{"epoch": 1 + f, "fold": f, "val/accuracy": 0.9} for f in range(folds or 1)]
        for count in range(1, len(epochs) + 1):
            storage.report(key, epochs[:count])
        storage.finish(key)
        keep(run.trials / key / FILE, corpus, folds, wrong)
    return run


def told(run: RunFolder, *arguments: object) -> str:
    given = ["mine", *map(str, arguments)]
    done = CliRunner().invoke(audit, given, standalone_mode=False, catch_exceptions=False)
    return done.output


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(run: RunFolder) -> list[dict[str, str]]:
    with run.audit.open() as file:
        return list(csv.DictReader(file))


def decide(run: RunFolder, **decisions: str) -> Path:
    """The audit with decisions, by names of files without their ends."""
    found = rows(run)
    path = run.path / "decided.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        for row in found:
            writer.writerow(row | {"decision": decisions.get(Path(row["file"]).stem, "")})
    return path


def test_what_may_be_wrong_is_listed_with_its_reason(place: Path, recordings: Path) -> None:
    pytest.importorskip("cleanlab", reason=CLEANLAB)
    run = searched(place, recordings, wrong=1)
    output = told(run)
    by_kind = {row["kind"]: row for row in rows(run)}
    assert [row["kind"] for row in rows(run)] == [
        "duplicate",
        "silent",
        "label",
        "cut off",
        "clipped",
    ]
    copied, label = by_kind["duplicate"], by_kind["label"]
    assert (copied["file"], copied["label"], copied["likely"]) == (
        "middle/copy.wav",
        "middle",
        "high",
    )
    assert copied["reason"] == "It has the same samples as high/000.wav, whose label is high."
    assert by_kind["silent"]["file"] == "low/silent.wav"
    assert by_kind["clipped"]["file"] == "low/clipped.wav"
    assert by_kind["cut off"]["file"] == "low/cut.wav"
    assert label["label"] == label["file"].split("/")[0] != label["likely"]
    assert label["reason"].startswith(f"It sounds like {label['likely']} with a probability of 0.9")
    assert 0 < float(label["chance"]) < 0.05 and label["decision"] == ""
    assert "duplicate 1, silent 1, label 1, cut off 1, clipped 1" in output
    assert "agree with 96% of the labels" in output
    assert "of validation can be judged" in output and "search.folds=5" in output
    assert f"tune-audio audit mine --apply {run.audit}" in output


def test_with_folds_all_but_the_test_are_judged(place: Path, recordings: Path) -> None:
    pytest.importorskip("cleanlab", reason=CLEANLAB)
    run = searched(place, recordings, folds=3, wrong=2)
    assert "can be judged" not in told(run)
    (label,) = [row for row in rows(run) if row["kind"] == "label"]
    corpus = load_corpus("folder", recordings, split=SPLIT, clip_seconds=0.5, cache=place / "cache")
    assert label["file"] == corpus.names[2] and corpus.split[2] == 0


def test_without_cleanlab_the_others_are_told(
    place: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    run = searched(place, recordings)
    output = told(run)
    assert "pip install 'tune-audio[audit]'" in output
    assert {row["kind"] for row in rows(run)} == {"duplicate", "silent", "cut off", "clipped"}


def test_without_predictions_the_others_are_told(place: Path, recordings: Path) -> None:
    run = searched(place, recordings)
    shutil.rmtree(run.trials)
    assert "no trial's predictions were kept" in told(run)
    assert len(rows(run)) == 4


def test_decisions_become_corrections_that_a_search_takes(place: Path, recordings: Path) -> None:
    run = searched(place, recordings)
    told(run)
    output = told(run, "--apply", decide(run, copy="high", silent="drop", cut="keep"))
    assert run.corrections.read_text() == "file,label\nlow/silent.wav,drop\nmiddle/copy.wav,high\n"
    assert "2 corrections" in output and f"--set data.corrections={run.corrections}" in output
    form = {"split": SPLIT, "clip_seconds": 0.5, "cache": place / "cache"}
    corpus = load_corpus("folder", recordings, corrections=str(run.corrections), **form)
    assert "low/silent.wav" not in corpus.names and "low/cut.wav" in corpus.names
    assert corpus.labels[corpus.targets[corpus.names.index("middle/copy.wav")]] == "high"


def test_corrections_of_before_stay(place: Path, recordings: Path) -> None:
    run = searched(place, recordings)
    told(run)
    before = place / "before.csv"
    before.write_text("file,label\nlow/cut.wav,drop\nlow/silent.wav,high\n")
    decided = decide(run, silent="drop")
    told(run, "--apply", decided, "--set", f"data.corrections={before}")
    assert run.corrections.read_text() == "file,label\nlow/cut.wav,drop\nlow/silent.wav,drop\n"


def test_every_mistake_is_told_with_its_line_and_nothing_written(
    place: Path, recordings: Path
) -> None:
    run = searched(place, recordings)
    path = place / "mine.csv"
    path.write_text(
        "file,decision\nlow/cut.wav,cow\nnone.wav,drop\nlow/000.wav,high\nlow/000.wav,keep\n"
        "low/000.wav,drop\n"
    )
    with pytest.raises(UserError) as error:
        told(run, "--apply", path)
    assert error.value.message == (
        f"{path}: line 2: 'cow' is no label and not drop; line 3: there is no recording "
        "'none.wav'; line 6: 'low/000.wav' is 'high' in line 4, here 'drop'. A decision is keep, "
        "drop, or a label: high, low, middle."
    )
    path.write_text("file,decision\nlow/cut.wav,keep\nlow/000.wav,\n")
    with pytest.raises(UserError, match="no decision changes anything"):
        told(run, "--apply", path)
    with pytest.raises(UserError, match=r"nowhere\.csv: No such file"):
        told(run, "--apply", place / "nowhere.csv")
    assert not run.corrections.exists()


def test_decisions_are_not_written_over(place: Path, recordings: Path) -> None:
    run = searched(place, recordings)
    told(run)
    decide(run, cut="drop").replace(run.audit)
    with pytest.raises(UserError, match="has decisions"):
        told(run)
    assert "drop" in run.audit.read_text()


def test_it_is_a_command() -> None:
    assert "audit" in COMMANDS
