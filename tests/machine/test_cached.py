"""What lies in the cache is told by kind and age, and goes only when nobody needs it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tune_audio.cache import cache
from tune_audio.errors import UserError
from tune_audio.machine.cached import KINDS, entries, in_use, make_room, remove

KEYS = [f"{n:032x}" for n in range(4)]


def fill(cache_folder: Path) -> Path:
    """Four corpora of 1,000 bytes, the first not used for the longest time, and one of the rest."""
    for age_days, key in zip((40, 30, 20, 0), KEYS, strict=True):
        folder = cache_folder / "corpora" / key
        folder.mkdir(parents=True)
        (folder / "samples.int16").write_bytes(bytes(1000))
        then = time.time() - 86400 * age_days
        os.utime(folder, (then, then))
    places = ("features/ab/abcd", "synthetic/made-1/yes", "datasets/speech/yes")
    for place in (*places, "measurements/abcd", f"pretrained/{KEYS[0]}", f"duplicates/{KEYS[0]}"):
        (cache_folder / place).mkdir(parents=True)
        (cache_folder / place / "file").write_bytes(bytes(500))
    (cache_folder / "corpora" / "seen").mkdir()
    return cache_folder


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path))
    return fill(tmp_path)


def corpora(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "corpora").iterdir() if len(path.name) == 32)


def test_entries_are_told_by_kind_and_the_least_used_first(filled: Path) -> None:
    found = entries(filled)
    assert {entry.kind for entry in found} == set(KINDS)
    of_corpora = entries(filled, ["corpora"])
    assert [entry.path.name for entry in of_corpora] == KEYS
    assert {entry.size_bytes for entry in of_corpora} == {1000}


def test_room_is_made_by_what_was_not_used_for_the_longest_time(filled: Path) -> None:
    make_room(entries(filled, ["corpora"]), 2500)
    assert corpora(filled) == KEYS[2:]


def test_what_another_process_uses_stays_and_goes_once_it_was_killed(filled: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tune_audio.machine.cached import in_use\n"
        "with in_use(Path(sys.argv[1])):\n    print('in use', flush=True); time.sleep(60)"
    )
    oldest = entries(filled, ["corpora"])[0]
    user = subprocess.Popen(
        [sys.executable, "-c", code, oldest.path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert user.stdout.readline() == "in use\n"
        assert not remove(oldest) and oldest.path.is_dir()
        with in_use(oldest.path):  # two at once
            pass
        make_room(entries(filled, ["corpora"]), 2500)
        assert corpora(filled) == [KEYS[0], KEYS[3]]  # the next ones go instead
    finally:
        user.kill()
        user.wait()
    assert remove(oldest) and not oldest.path.exists()


def test_two_may_remove_the_same(filled: Path) -> None:
    entry = entries(filled, ["features"])[0]
    assert remove(entry) and remove(entry)
    assert list((filled / "features").rglob("*")) == [filled / "features" / "ab"]


def said(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    cache.main([*arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_the_command_shows_what_lies_there(filled: Path, capsys) -> None:
    table = said(capsys)
    rows = {line.split()[1]: line for line in table.splitlines() if line.startswith("│")}
    assert "decoded audio" in rows["corpora"] and " 4 │" in rows["corpora"]
    assert "4 kB" in rows["corpora"] and "just now" in rows["features"]
    assert len(corpora(filled)) == 4


def test_it_clears_by_age_and_kind_and_leaves_downloads(filled: Path, capsys) -> None:
    assert "Removed 2 of 2 entries, 2 kB" in said(capsys, "--clear", "--older-than", "25d")
    assert corpora(filled) == KEYS[2:]
    shown = " ".join(said(capsys, "--clear").split())
    assert "Removed 7 of 8 entries" in shown and "tune-audio cache datasets --clear" in shown
    assert [entry.kind for entry in entries(filled)] == ["datasets"]
    assert "Removed 1 of 1" in said(capsys, "datasets", "--clear")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["feature"], "KIND: got 'feature'"),
        (["--older-than", "a month"], "--older-than: got 'a mo"),
    ],
)
def test_mistakes(filled: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        cache.main(arguments, standalone_mode=False)
