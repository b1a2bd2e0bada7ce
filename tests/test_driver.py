"""What is said of the data before anything runs."""

import io
from pathlib import Path

import pytest
import soundfile
from make_audio import make_class_folder, tone
from rich.console import Console

from tune_audio.driver import open_data
from tune_audio.space import load_space


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
