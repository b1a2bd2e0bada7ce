"""The command that retrains, where it does not come to its end."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from tune_audio import retrain
from tune_audio.cli import INTERRUPTED

SPACE = """
data: {name: folder, root: /nowhere}
train: {epochs: 1}
search: {sampler: grid, scheduler: none}
models: {lstm_cnn: {}}
"""


def test_an_interrupted_one_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setenv("TUNE_AUDIO_RUNS", str(tmp_path))
    monkeypatch.setattr(retrain, "open_data", lambda *_: None)
    monkeypatch.setattr(retrain, "Driver", lambda *_, **__: nullcontext())
    monkeypatch.setattr(retrain, "retrain_best", interrupted)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "space.yaml").write_text(SPACE)
    arguments = [
        "first",
        "--set",
        "retrain.top=3",
        "--set",
        "models.lstm_cnn.augment=[none, noise]",
    ]
    said = CliRunner().invoke(retrain.retrain, arguments, standalone_mode=False)
    assert said.return_value == INTERRUPTED, said.output
    assert " ".join(said.output.split()) == (
        "Interrupted. Go on with: python -m tune_audio.retrain first --set retrain.top=3 "
        "--set 'models.lstm_cnn.augment=[none, noise]'"
    )
