"""Who may know what: rules of the design that a test can see."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tune_audio"

# The rooms, from the top of the house to its bottom; a file beside the rooms is one of its own.
# A room imports from itself, from rooms on floors below, and never from one above or beside it.
FLOORS = [
    {"__main__", "search"},
    {"audit", "cache", "plan", "predict", "retrain", "thresholds", "watch"},
    {"closing", "detach", "driver", "findings"},
    {"claims", "inference"},
    {"tuning", "tracking"},
    {"costs"},
    {"space", "reporting"},
    {"evidence"},
    {"training"},
    {"models"},
    {"features"},
    {"data.datasets", "data.synthesis"},
    {"data"},
    {"run_copy"},
    {"run_folder"},
    {"cli"},
    {"machine"},
    {"errors", "escaping", "signatures"},
]
# What a room's neighbour on its floor is known for nevertheless.
BESIDE = {("data.synthesis", "data.datasets")}  # a made data set is laid out as the real one


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name below it."""
    files = {file.relative_to(PACKAGE).with_suffix(""): file for file in PACKAGE.rglob("*.py")}
    names = {".".join(path.parts).removesuffix("__init__").rstrip("."): path for path in files}
    return {name: files[path] for name, path in names.items() if name}


@cache
def imported(file: Path) -> set[str]:
    """Full names that a file imports anywhere in it: packages, modules, what is taken from them."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    """The room that a module is in, by its name below the package."""
    rooms = set().union(*FLOORS)
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next(name for name in names if name in rooms)


def arrows() -> dict[tuple[str, str], set[str]]:
    """(room, room it imports from) -> "module -> module" for each import that makes it so."""
    found: dict[tuple[str, str], set[str]] = {}
    for name, file in modules().items():
        for full in imported(file):
            if not full.startswith("tune_audio."):
                continue
            below = full.removeprefix("tune_audio.")
            target = below if below in modules() else below.rpartition(".")[0]
            if target and room(name) != room(target):
                found.setdefault((room(name), room(target)), set()).add(f"{name} -> {target}")
    return found


def importers(package: str) -> set[str]:
    return {
        name
        for name, file in modules().items()
        if any(full.partition(".")[0] == package for full in imported(file))
    }


def test_every_module_is_in_a_room_that_the_design_knows():
    for name in modules():
        room(name)


def test_rooms_import_only_from_rooms_below():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    wrong = {
        arrow: imports
        for arrow, imports in arrows().items()
        if floor[arrow[1]] <= floor[arrow[0]] and arrow not in BESIDE
    }
    assert wrong == {}


def test_modules_do_not_import_each_other_in_a_circle():
    import graphlib

    graph = {
        name: {
            below
            for full in imported(file)
            for below in (full.removeprefix("tune_audio."), full[11:].rpartition(".")[0])
            if full.startswith("tune_audio.") and below in modules() and below != name
        }
        for name, file in modules().items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_what_knows_ray_optuna_and_mlflow():
    of_tuning = {"callbacks", "cluster", "files", "gpus"}
    of_tuning |= {"scheduler", "searcher", "study", "trial"}
    assert importers("ray") == {f"tuning.{name}" for name in of_tuning}
    assert {room(name) for name in importers("optuna")} == {"tuning"}
    assert {room(name) for name in importers("mlflow")} == {"tracking"}
    assert "tracking.mirror" not in importers("mlflow")  # the driver waits for it


def test_data_sets_do_not_need_torch():
    assert not {name for name in importers("torch") if name.startswith("data.")}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("tune_audio", ["torch", "numpy", "ray", "mlflow"]),
        ("tune_audio.data.load", ["torch", "ray", "transformers", "mlflow"]),
        ("tune_audio.space", ["torch", "ray", "transformers", "mlflow"]),
        ("tune_audio.evidence.optimism", ["torch", "ray", "optuna", "sklearn", "mlflow"]),
    ],
)
def test_importing_stays_cheap(module: str, forbidden: list[str]):
    code = f"import sys, {module}; print(*[m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_tests_mirror_the_rooms():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    assert folders == rooms | {"cluster"}  # beside the package
