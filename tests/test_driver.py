"""What a search says and writes of its data before anything is trained."""

import csv
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
from make_audio import make_class_folder, tone
from rich.console import Console

from tune_audio.driver import Driver, open_data
from tune_audio.run_folder import RunFolder
from tune_audio.space import load_space

SPACE = """
data: {{name: folder, root: {root}, split: [0.6, 0.2, 0.2], clip_seconds: 0.1, duplicates: {how}}}
train: {{epochs: 1}}
search: {{sampler: grid}}
models: {{lstm_cnn: {{}}}}
"""


@pytest.mark.parametrize("how", ["apart", "ignore"])
def test_recordings_that_belong_together_are_told_and_listed(tmp_path: Path, monkeypatch, how):
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path / "cache"))
    root = make_class_folder(tmp_path / "data", {"cat": 10, "dog": 10})
    (root / "dog" / "copy.wav").write_bytes((root / "cat" / "003.wav").read_bytes())
    (root / "dog" / "bad.wav").write_bytes(b"no audio")
    (tmp_path / "space.yaml").write_text(SPACE.format(root=root, how=how))
    console = Console(file=io.StringIO(), width=200)
    corpus = open_data(load_space(tmp_path / "space.yaml", ["data.max_bad_share=0.1"]), console)
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.duplicates.write_text("of before")
    Driver.write_notes(SimpleNamespace(run=run), corpus)
    assert "dog/bad.wav" in run.skipped.read_text()
    said = console.file.getvalue()
    if how == "ignore":
        assert not run.duplicates.exists() and "equal" not in said
        return
    assert "such as cat/003.wav (cat) and dog/copy.wav (dog)" in said
    (row,) = csv.DictReader(run.duplicates.open())
    assert (row["file_a"], row["file_b"], row["kind"]) == ("cat/003.wav", "dog/copy.wav", "equal")
    assert (row["label_a"], row["label_b"]) == ("cat", "dog") and row["split_a"] == row["split_b"]


@pytest.mark.parametrize(
    ("peak", "said"),
    [
        ("keep", "what is beyond is clipped; scaled instead: --set data.peak=normalise"),
        ("normalise", "scaled to its peak"),
    ],
)
def test_recordings_beyond_1_are_told(tmp_path: Path, monkeypatch, peak: str, said: str) -> None:
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path / "cache"))
    root = make_class_folder(tmp_path / "data", {"dog": 10, "cat": 10})
    soundfile.write(root / "dog" / "x\n.wav", 3.0 * tone(), 16_000, subtype="FLOAT")
    (tmp_path / "space.yaml").write_text(
        f"data: {{name: folder, root: {root}, split: [0.6, 0.2, 0.2], peak: {peak}}}\n"
        "train: {epochs: 1}\nsearch: {sampler: grid}\nmodels: {cnn_mel: {}}\n"
    )
    console = Console(file=io.StringIO(), width=200)
    corpus = open_data(load_space(str(tmp_path / "space.yaml")), console)
    assert corpus.peak == peak
    line = console.file.getvalue().splitlines()[-1]
    assert line == rf"1 recording goes beyond ±1, dog/x\n.wav as far as 1.5: {said}"
