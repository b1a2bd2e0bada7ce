"""Real data with real checkpoints, synthetic data with compact ones, and never a silent mixture."""

import io

import pytest
from rich.console import Console

from tune_audio.errors import UserError
from tune_audio.space import SearchSpace, list_spaces, load_space
from tune_audio.tuning import demo
from tune_audio.tuning.samplers import example_configuration


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


def test_no_family_is_lost_to_the_name_of_another():
    with pytest.raises(UserError, match=r"models\.ast: .* ast-compact, which is there already"):
        demo.named(load_space("own", ["models.ast={model: ast, checkpoint: compact}"]))


def test_environmental_sounds_are_made_by_rule(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "tune_audio.data.synthesis.environment.make_esc50",
        lambda folder: made.append(folder) or folder,
    )
    space = demo.demonstration(load_space("esc10_cnn"), tmp_path)
    assert demo.is_demonstration(space) and [space.data["root"]] == [str(made[0])]


@pytest.mark.parametrize("name", [name for name in list_spaces() if name != "own"])
def test_no_space_mixes_synthetic_audio_with_other_weights(name, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_speak", lambda space, folder: folder / f"{demo.MADE}words")
    for data_set in demo.SOUND_DATA_SETS:
        monkeypatch.setitem(demo.SOUND_DATA_SETS, data_set, "pathlib:Path")
    space = load_space(name)
    shown = demo.demonstration(space, tmp_path)
    for family in shown.families.values():
        configuration = example_configuration(family)
        if family.model in ("wav2vec2", "ast", "deit_ast"):
            random = configuration.get("initial_weights") == "random"
            assert random or configuration["checkpoint"] == "compact"
    for silence_or_unknown in ("silence_clips", "unknown_clips"):
        if space.data.get(silence_or_unknown) == 2000:  # as many as a word has clips
            assert shown.data[silence_or_unknown] == demo.CLIPS_PER_OTHER_WORD
    told = io.StringIO()
    demo.announce(space, Console(file=told, width=200))
    for family in space.families.keys() - shown.families.keys():
        assert family in told.getvalue().partition("Left out")[2]


def test_what_nobody_can_synthesise_needs_its_recordings():
    raw = {"data": {"name": "folder"}, "train": {"epochs": 1}, "models": {"lstm_cnn": {}}}
    space = SearchSpace.from_dict(raw | {"search": {"sampler": "grid"}})
    with pytest.raises(UserError, match="give their folder with --data FOLDER"):
        demo.announce(space, Console(file=io.StringIO()))
