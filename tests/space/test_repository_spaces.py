"""The spaces that come along: each can be run as its head says, and asks what its report asked."""

from pathlib import Path

import optuna
import pytest
from make_audio import RATE

from tune_audio.models import MODELS
from tune_audio.space import SearchSpace, list_spaces, load_space
from tune_audio.space.domains import holds

FOLDER = Path(__file__).parents[2] / "search_spaces"
NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
KNOWN_MODELS = set(MODELS)  # before a test adds its own
DRAWS = 200


def drawn(space: SearchSpace, family: str) -> list[dict]:
    """All configurations of a grid, many of what is sampled."""
    if space.search.sampler == "grid":
        return space.families[family].grid()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.families[family].suggest(study.ask()) for _ in range(DRAWS)]


@pytest.mark.parametrize("name", NAMES)
def test_configurations_lie_in_their_domains_and_have_what_their_conditions_ask(name):
    space = load_space(FOLDER / f"{name}.yaml")
    for family in space.families.values():
        configurations = drawn(space, family.name)
        for configuration in configurations:
            wanted = {n for n, d in family.domains.items() if holds(d.when, configuration)}
            assert set(configuration) == wanted
            assert all(family.domains[n].contains(v) for n, v in configuration.items())
        for parameter, domain in family.domains.items():
            values = {c[parameter] for c in configurations if parameter in c}
            assert values, f"{name}: {family.name} never has {parameter}"
            if hasattr(domain, "choices"):
                assert values == set(domain.choices)


@pytest.mark.parametrize("name", NAMES)
def test_a_resolved_space_is_read_as_it_was_written(name):
    space = load_space(name)
    assert SearchSpace.from_dict(space.to_dict()) == space


@pytest.mark.parametrize("name", NAMES)
def test_the_head_says_how_to_run_it(name):
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert 3 <= len(head) <= 9
    assert "?" in " ".join(head[:3])  # the question comes first
    assert f"python -m tune_audio.search --space {name} " in " ".join(head)
    assert name in list_spaces()


def test_every_model_is_in_some_space():
    spaces = [load_space(FOLDER / f"{name}.yaml") for name in NAMES]
    assert {f.model for space in spaces for f in space.families.values()} == KNOWN_MODELS


def test_report_b_trains_convs2s_seven_times():
    runs = []
    for name in ("convs2s", "convs2s_reduced"):
        space = load_space(name)
        for family in space.families:
            (first, *others) = drawn(space, family)
            fixed = {n: v for n, v in first.items() if n != "lr"}
            assert all({n: v for n, v in c.items() if n != "lr"} == fixed for c in others)
            reduced = space.data["unknown_clips"] == 2000
            runs.append((fixed["loss"], fixed["optimizer"], reduced, fixed["batch_size"]))
    assert runs == [
        ("mse", "adam", False, 32),
        ("mse", "adamax", False, 32),
        ("mse", "sgd", False, 32),
        ("cross_entropy", "adam", False, 32),
        ("mse", "rmsprop", False, 32),
        ("mse", "rmsprop", True, 32),
        ("mse", "rmsprop", True, 256),
    ]


@pytest.mark.parametrize("name", ["esc10_cnn", "esc10_heads", "esc10_raw_cnn", "esc10_raw_heads"])
def test_reports_c_and_e_have_ten_classes_in_four_folds(name):
    space = load_space(name)
    assert (space.data["esc10"], space.search.folds, space.epochs) == (True, 4, 100)
    seconds = space.data.get("window_seconds", 5.0)
    assert space.data["clip_seconds"] == seconds
    assert ("raw" in name) == (seconds == 1.0)
    for family in space.families:
        varied = {(c["lr"], c["batch_size"]) for c in drawn(space, family)}
        assert {(1e-3, 64), (1e-3, 32)} < varied


def test_heads_are_those_of_the_reports():
    heads_c = {
        c["num_heads"]
        for family in ("heads_1", "heads_2", "heads_4")
        for c in drawn(load_space("esc10_heads"), family)
    }
    heads_e = {c["num_heads"] for c in drawn(load_space("esc10_raw_heads"), "as_reported")}
    assert heads_c == heads_e == {1, 2, 4}


def test_report_d_has_1024_frames_and_the_rows_of_its_tables():
    for name in ("fsd50k", "fsd50k_slim"):
        space = load_space(name)
        assert space.epochs == 100
        assert space.data["clip_seconds"] * RATE / 160 == 1024
        for family in space.families.values():
            if family.model == "deit_ast":
                assert all(c["max_length"] == 1024 for c in drawn(space, family.name))
    slim, whole = load_space("fsd50k_slim"), load_space("fsd50k")
    assert slim.search.metric == "val/accuracy" and whole.search.metric == "val/map"
    rows = {(f, c["stride"], c["batch_size"]) for f in slim.families for c in drawn(slim, f)}
    assert {("small", 10, 8), ("tiny", 10, 8), ("tiny_scratch", 10, 8)} < rows
    assert {("tiny_frozen", 10, 8), ("tiny_frozen", 16, 8)} < rows
    reported = [c for c in drawn(whole, "tiny") if (c["stride"], c["loss"]) == (16, "bce")]
    assert {c["augment"] for c in reported} == {"none", "frequency_mask+frame_mask"}
    assert {c["batch_size"] for c in reported} == {16}
