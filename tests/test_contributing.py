"""The examples of CONTRIBUTING.md, put where they say they belong, in one search of their own."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from make_audio import tone, write_audio

ROOT = Path(__file__).parents[1]
HELPERS = ROOT / "tests" / "helpers"
BLOCK = re.compile(r"^```\w+\n# (\S+?)(?:, in (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What `python -m tune_audio.search --space urban --data FOLDER` does, with trials in its process.
SEARCH = """
import sys
from one_after_another import run_in_this_process
from tune_audio.search import search

run_in_this_process()
sys.exit(search.main(sys.argv[1:], standalone_mode=False))
"""


def examples() -> list[tuple[str, str, str]]:
    """(file, the dict in it that the line belongs in or "", text) of every block with a place."""
    return BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text())


def add(copy: Path, file: str, dictionary: str, text: str) -> None:
    path = copy / file
    if not dictionary:
        assert not path.exists()
        path.write_text(text)
        return
    before = path.read_text()
    head = re.search(rf"^{dictionary}\b.*{{\n", before, re.MULTILINE)
    assert head and len(text.splitlines()) == 1  # a line
    path.write_text(before[: head.end()] + f"    {text}" + before[head.end() :])


def write_urbansound8k(root: Path) -> Path:
    """Tones of two classes in the layout of UrbanSound8K, of which folds 9 and 10 are few."""
    rows = []
    for number in range(60):
        label, fold = ("dog_bark", "siren")[number % 2], 1 + number % 10
        name = f"{number}-{number % 2}-0-0.wav"
        hertz = 300 * (1 + number % 2) + number
        write_audio(root / f"audio/fold{fold}" / name, tone(0.5, hertz=hertz))
        rows.append([name, number, fold, label])
    (root / "metadata").mkdir()
    with (root / "metadata/UrbanSound8K.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["slice_file_name", "fsID", "fold", "class"], *rows])
    return root


def test_the_examples_stand_where_they_say_and_run_as_one_search(tmp_path: Path) -> None:
    found = examples()
    assert [dictionary for _, dictionary, _ in found if dictionary] == [
        "MODELS",
        "DATASETS",
        "AUGMENTATIONS",
        "METRICS",
    ]
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "tune_audio", copy / "tune_audio")
    (copy / "search_spaces").mkdir()
    for example in found:
        add(copy, *example)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(copy), str(HELPERS)]),
        "TUNE_AUDIO_CACHE": str(tmp_path / "cache"),
    }
    data = write_urbansound8k(tmp_path / "UrbanSound8K")
    ran = subprocess.run(
        [sys.executable, "-c", SEARCH, "--space", "urban", "--data", data, "--name", "mine"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with (copy / "runs/mine/leaderboard.csv").open() as file:
        trials = list(csv.DictReader(file))
    assert [row["state"] for row in trials] == ["complete"] * 4
    assert {row["family"] for row in trials} == {"mean_mel", "lstm_cnn"}
    assert {row["augment"] for row in trials} <= {"none", "reverse"}
    assert all(float(row["val/top_2"]) == 1.0 for row in trials)  # of two labels both are likeliest
    for family in ("mean_mel", "lstm_cnn"):
        assert (copy / f"runs/mine/retrain-same/{family}-0/model/model.safetensors").is_file()
