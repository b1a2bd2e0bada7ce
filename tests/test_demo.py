"""Real data with real checkpoints, synthetic data with compact ones, and never a silent mixture."""

import io

import pytest
from rich.console import Console

from tune_audio import demo
from tune_audio.errors import UserError
from tune_audio.space import SearchSpace, load_space


@pytest.fixture
def few_clips(monkeypatch):
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(demo, "CLIPS_PER_OTHER_WORD", 1)


def speech4() -> SearchSpace:
    return load_space("speech4", ["data.clips_per_label=4"])


def test_a_demonstration_is_synthetic_through_and_through(few_clips, tmp_path):
    space = demo.named(demo.demonstration(speech4(), tmp_path))
    assert list(space.families) == ["wav2vec2-compact", "ast-compact", "lstm_cnn"]
    assert demo.is_demonstration(space)
    folders = {file.parent.name for file in tmp_path.rglob("*.wav")}
    assert {"yes", "no", "stop", "go", "tree", "_background_noise_"} <= folders
    assert len(folders) == 36
    shown = io.StringIO()
    demo.announce(space, Console(file=shown))
    assert "Demonstration" in shown.getvalue() and "--data FOLDER" in shown.getvalue()


def test_the_names_survive_a_resume(few_clips, tmp_path):
    space = demo.named(demo.demonstration(speech4(), tmp_path))
    (tmp_path / "space.yaml").write_text(space.to_yaml())
    again = demo.named(load_space(tmp_path / "space.yaml"))
    assert again == space


def test_compact_weights_on_real_data_are_named_so():
    overrides = [("models.ast.checkpoint", "compact"), ("data.root", "/recordings/speech")]
    space = demo.named(load_space("speech4", overrides))
    assert list(space.families) == ["wav2vec2", "ast-compact", "lstm_cnn"]
    assert not demo.is_demonstration(space)


def test_environmental_sounds_are_made_by_rule(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "tune_audio.data.environment.make_esc50", lambda folder: made.append(folder) or folder
    )
    space = demo.demonstration(load_space("esc10_cnn"), tmp_path)
    assert demo.is_demonstration(space) and [space.data["root"]] == [str(made[0])]


def test_what_nobody_can_synthesise_needs_its_recordings():
    raw = {"data": {"name": "folder"}, "train": {"epochs": 1}, "models": {"lstm_cnn": {}}}
    space = SearchSpace.from_dict(raw | {"search": {"sampler": "grid"}})
    with pytest.raises(UserError, match="give their folder with --data FOLDER"):
        demo.announce(space, Console(file=io.StringIO()))
