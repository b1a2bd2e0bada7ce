"""What is installed is what stands here: commands, spaces, weights; run from an empty folder."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tune_audio import __version__
from tune_audio.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, unpacked as pip does it."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = place.glob("*.whl")
    assert wheel.name.startswith(f"tune_audio-{__version__}-")
    assert wheel.stat().st_size < 10e6
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """`tune-audio ARGUMENTS` in a folder, of what is installed and not of the checkout."""
    environment = os.environ | {"PYTHONPATH": str(installed), "TUNE_AUDIO_CACHE": str(folder)}
    command = [sys.executable, "-m", "tune_audio", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_it_holds_what_it_needs(installed: Path) -> None:
    package = installed / "tune_audio"
    assert {path.name for path in installed.iterdir() if "dist-info" not in path.name} == {
        "tune_audio"
    }
    assert (package / "py.typed").is_file()
    spaces = {path.name for path in (ROOT / "search_spaces").glob("*.yaml")}
    assert {path.name for path in (package / "search_spaces").iterdir()} == spaces
    assert len([*package.glob("models/compact/*/model.safetensors")]) == 2
    (info,) = installed.glob("*.dist-info")
    assert (info / "licenses/LICENSE").is_file() and (info / "licenses/NOTICE").is_file()
    assert "tune-audio = tune_audio.__main__:run" in (info / "entry_points.txt").read_text()


def test_the_commands_run_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    shown = run(installed, tmp_path, "--help")
    assert shown.returncode == 0 and all(f"  {name} " in shown.stdout for name in COMMANDS)
    assert __version__ in run(installed, tmp_path, "--version").stdout
    space = run(installed, tmp_path, "search", "--space", "own", "--data", "nowhere")
    assert space.returncode == 2 and "data.root:" in space.stderr  # the space itself was found
    wrong = run(installed, tmp_path, "serach")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_command_is_a_file_of_its_name() -> None:
    assert [entry.value for entry in entry_points(name="tune-audio")] == ["tune_audio.__main__:run"]
    for name, help_line in COMMANDS.items():
        assert (ROOT / "tune_audio" / f"{name}.py").is_file() and help_line.endswith(".")
