"""Who may know what: rules of the design that a test can see."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tune_audio"


def imported(file: Path) -> set[str]:
    """Top-level packages that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def importers(name: str) -> set[str]:
    return {
        str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py") if name in imported(file)
    }


def test_four_files_know_ray_and_one_knows_mlflow():
    assert importers("ray") == {"study.py", "trial.py", "searcher.py", "scheduler.py"}
    assert importers("mlflow") == {"mlflow_runs.py"}


def test_data_sets_do_not_need_torch():
    assert not {name for name in importers("torch") if name.startswith("data/")}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("tune_audio", ["torch", "numpy", "ray", "mlflow"]),
        ("tune_audio.data.corpus", ["torch", "ray", "transformers", "mlflow"]),
        ("tune_audio.space", ["torch", "ray", "transformers", "mlflow"]),
    ],
)
def test_importing_stays_cheap(module: str, forbidden: list[str]):
    code = f"import sys, {module}; print(*[m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
