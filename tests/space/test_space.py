"""What a search space file means."""

from pathlib import Path

import optuna
import pytest

from tune_audio.errors import UserError
from tune_audio.models import MODELS
from tune_audio.space import list_spaces, load_space
from tune_audio.space.yaml_text import write_yaml
from tune_audio.training.train_params import TrainParams


def suggest(family, **fixed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(fixed)
    trial = study.ask()
    return family.suggest(trial), trial


def test_speech4_is_report_a():
    space = load_space("speech4")
    assert list(space.families) == ["wav2vec2", "ast", "lstm_cnn"]
    assert [len(family.grid()) for family in space.families.values()] == [18, 18, 18]
    assert space.data["labels"] == ["yes", "no", "stop", "go"]
    assert space.data["split"] == (0.70, 0.15, 0.15)
    assert space.epochs == 10
    varied = {(c["lr"], c["batch_size"], c["augment"]) for c in space.families["ast"].grid()}
    assert len(varied) == 18 and (1e-4, 64, "time_mask") in varied


def test_grid_varies_the_first_named_slowest_and_models_override_params(load):
    space = load("""
    train: {epochs: 1, optimizer: sgd, weight_decay: 0.1}
    params: {lr: [1, 0.5], batch_size: [8, 16], weight_decay: 0}
    models: {a: {model: tiny}, b: {model: tiny, lr: 0.25, bias: [true, false]}}
    """)
    first = [(c["lr"], c["batch_size"]) for c in space.families["a"].grid()]
    assert first == [(1.0, 8), (1.0, 16), (0.5, 8), (0.5, 16)]
    assert type(first[0][0]) is float
    assert space.families["b"].grid()[1] == {
        "optimizer": "sgd",
        "weight_decay": 0.0,
        "lr": 0.25,
        "batch_size": 8,
        "bias": False,
    }


def test_a_grid_lists_ranges_with_steps_in_decimal_arithmetic(load, complaint):
    family = load(
        "params: {dropout: {low: 0.1, high: 0.7, step: 0.2}, hidden_size: {low: 2, high: 4}}"
    )
    grid = family.families["tiny"].grid()
    assert [c["dropout"] for c in grid[::3]] == [0.1, 0.3, 0.5, 0.7]
    assert [c["hidden_size"] for c in grid[:3]] == [2, 3, 4]
    message = complaint("params: {lr: {low: 1e-5, high: 1e-2, log: true}}")
    assert "tiny.lr" in message and "choices" in message and "search.sampler" in message


def test_conditional_parameters_are_there_only_under_their_condition(load):
    family = load("""
    params:
      momentum: {choices: [0.8, 0.9], when: {optimizer: [sgd, rmsprop]}}
      optimizer: [adam, sgd]
    """).families["tiny"]
    assert family.grid() == [
        {"optimizer": "adam"},
        {"momentum": 0.8, "optimizer": "sgd"},
        {"momentum": 0.9, "optimizer": "sgd"},
    ]
    params, trial = suggest(family, optimizer="adam")
    assert params == {"optimizer": "adam"} and "momentum" not in trial.params
    params, trial = suggest(family, optimizer="sgd", momentum=0.9)
    assert params == {"momentum": 0.9, "optimizer": "sgd"}


def test_conditions_on_conditions_and_on_defaults(load):
    family = load("""
    params:
      weight_decay: {choices: [0.1], when: {momentum: 0.8}}
      momentum: {choices: [0.8, 0.9], when: {optimizer: sgd}}
      optimizer: [adam, sgd]
      dropout: {choices: [0.5], when: {bias: true}}
    """).families["tiny"]
    # bias is not tuned, and its default fulfils the condition always.
    assert family.grid() == [
        {"optimizer": "adam", "dropout": 0.5},
        {"weight_decay": 0.1, "momentum": 0.8, "optimizer": "sgd", "dropout": 0.5},
        {"momentum": 0.9, "optimizer": "sgd", "dropout": 0.5},
    ]


def test_a_common_condition_may_be_idle_in_one_family_but_not_in_all(load, complaint):
    text = """
    params: {momentum: {choices: [0.8], when: {optimizer: sgd}}}
    models: {a: {model: tiny, optimizer: adam}, b: {model: tiny, optimizer: sgd}}
    """
    space = load(text)
    assert space.families["a"].grid() == [{"optimizer": "adam"}]
    assert space.families["b"].grid() == [{"momentum": 0.8, "optimizer": "sgd"}]
    assert load(text, models=["a"]).families["a"].grid() == [{"optimizer": "adam"}]
    assert "momentum.when.optimizer: can never hold" in complaint(text, "models.b.optimizer=adamw")


def test_optuna_is_asked_for_what_varies_only_and_stays_in_bounds(load):
    family = load("""
    search: {sampler: random, trials: 3}
    params:
      optimizer: adam
      lr: {low: 1e-5, high: 1e-2, log: true}
      batch_size: {low: 8, high: 32, step: 8}
      dropout: {low: 0, high: 0.5}
      bias: {choices: [true, false]}
    """).families["tiny"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    trials = [study.ask() for _ in range(40)]
    drawn = [family.suggest(trial) for trial in trials]
    assert set(trials[0].params) == {"lr", "batch_size", "dropout", "bias"}
    assert all(list(d) == ["optimizer", "lr", "batch_size", "dropout", "bias"] for d in drawn)
    assert {d["batch_size"] for d in drawn} == {8, 16, 24, 32}
    assert all(1e-5 <= d["lr"] <= 1e-2 and isinstance(d["dropout"], float) for d in drawn)
    assert sum(d["lr"] < 10**-3.5 for d in drawn) > 10  # log: half of them below the middle


def test_split_gives_every_parameter_to_its_owner(load):
    family = load("params: {lr: 0.5, hidden_size: 3, views: 2}").families["tiny"]
    train, model = family.split(family.grid()[0])
    assert train == TrainParams(lr=0.5, views=2)
    assert model == {"hidden_size": 3}


def test_yaml_is_version_1_2(load):
    space = load("""
    data: {name: tones, labels: [yes, no, on, off, 12:30]}
    params: {lr: [1e-4, 2e-3]}
    """)
    assert space.data["labels"] == ["yes", "no", "on", "off", "12:30"]
    assert [c["lr"] for c in space.families["tiny"].grid()] == [1e-4, 2e-3]


def test_the_resolved_space_loads_as_an_equal_one(load, tmp_path):
    space = load("""
    name: original
    data: {name: tones, labels: [yes, "1", "1e-3"], split: [0.8, 0.1, 0.1], octave: 5, root: data}
    train: {epochs: 7, optimizer: [sgd, adam]}
    search: {sampler: random, trials: 4, cpus_per_trial: 2}
    params:
      momentum: {low: 0.8, high: 0.9, when: {optimizer: sgd}}
      lr: {low: 1e-5, high: 1, log: true}
      batch_size: {low: 8, high: 32, step: 8}
    models: {b: {model: tiny, resources: {gpus: 0.5}}, a: {model: tiny, width: [4, 1]}}
    retrain: null
    """)
    file = tmp_path / "space.yaml"
    file.write_text(space.to_yaml())
    again = load_space(file)
    assert again == space
    assert again.name == "original" and again.retrain is None
    assert list(again.families) == ["b", "a"]
    assert list(again.families["a"].domains) == list(space.families["a"].domains)
    assert again.families["b"].resources == {"gpus": 0.5}
    assert again.to_yaml() == space.to_yaml()


def test_overrides(load):
    space = load(
        "retrain: false",
        "train.epochs=9",
        "params.lr=[1e-3, 1e-2]",
        "models.second.model=tiny",
        "data.labels=[yes, no]",
        ("data.root", "/data #1: new"),
    )
    assert space.epochs == 9 and space.data["labels"] == ["yes", "no"]
    assert space.data["root"] == "/data #1: new"
    assert [c["lr"] for c in space.families["second"].grid()] == [1e-3, 1e-2]
    assert space.retrain is None
    assert load("retrain: null", "retrain.top=2").retrain.top == 2


@pytest.mark.parametrize(
    ("override", "name", "choices"),
    [
        ("params.lr=1e-3,1e-4", "lr", [1e-3, 1e-4]),
        ("params.lr=1e-3, 1e-4", "lr", [1e-3, 1e-4]),
        ("models.tiny.bias=true,false", "bias", [True, False]),
        ("train.optimizer=adam,sgd", "optimizer", ["adam", "sgd"]),
        ("params.lr={choices: [1e-3, 1e-4]}", "lr", [1e-3, 1e-4]),
        ("params.lr=1e-3", "lr", [1e-3]),
    ],
)
def test_commas_of_a_hyperparameter_stand_between_choices(load, override, name, choices):
    assert list(load("", override).families["tiny"].domains[name].values()) == choices


def test_commas_elsewhere_and_in_quotes_are_text(load, complaint):
    assert load("", "data.root=/home/me/clips, old").data["root"] == "/home/me/clips, old"
    assert load("", "name=first,second").name == "first,second"
    assert "got 'adam,sgd'" in complaint("", "params.optimizer='adam,sgd'")


def test_families_left_out_are_not_imported(load, monkeypatch, complaint):
    monkeypatch.setitem(MODELS, "broken", "no_such_package.models:Broken")
    text = "models: {tiny: {}, broken: {}}"
    assert list(load(text, models=["tiny"]).families) == ["tiny"]
    assert "model broken needs the package no_such_package" in complaint(text)
    with pytest.raises(UserError, match=r"--models: 'tny'.*did you mean tiny"):
        load(text, models=["tny"])


def test_spaces_are_found_by_name_here_first(tmp_path, monkeypatch):
    mine = tmp_path / "search_spaces" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text(
        "data: {name: tones}\ntrain: {epochs: 1}\nsearch: {sampler: grid}\nmodels: {tiny: {}}"
    )
    monkeypatch.chdir(tmp_path)
    assert load_space("mine").name == "mine"
    assert "speech4" in list_spaces()
    with pytest.raises(UserError, match=r"'mein'; did you mean mine\?"):
        load_space("mein")
    with pytest.raises(UserError, match="no such file"):
        load_space(Path("search_spaces/other.yaml"))


def test_with_data_root_changes_nothing_else(load):
    space = load("")
    moved = space.with_data_root(Path("/somewhere"))
    assert moved.data == {"name": "tones", "root": "/somewhere"}
    assert (moved.families, moved.search) == (space.families, space.search)


def test_a_run_of_before_is_retrained_as_it_was(tmp_path):
    space = load_space("own")
    assert space.retrain.train_on == "auto"
    written = space.to_dict()
    del written["retrain"]["train_on"]
    (tmp_path / "space.yaml").write_text(write_yaml(written))
    assert load_space(tmp_path / "space.yaml", of_run=True).retrain.train_on == "train"
    assert load_space(tmp_path / "space.yaml").retrain.train_on == "auto"
    (tmp_path / "space.yaml").write_text(space.to_yaml())
    assert load_space(tmp_path / "space.yaml", of_run=True) == space
