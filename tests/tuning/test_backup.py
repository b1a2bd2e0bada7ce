"""Damage to a run's database: told in a line, and made good from the copy beside it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from studies import open_storage, rows

from tune_audio.errors import SurroundingsError, UserError
from tune_audio.machine.sqlite_files import snapshot
from tune_audio.tuning import backup, database
from tune_audio.tuning.backup import backup_of, restore_if_damaged
from tune_audio.tuning.storage import Storage


def end_one(storage: Storage) -> str:
    key = storage.next().key
    storage.report(key, rows(*[0.5] * storage.epochs))
    storage.finish(key)
    return key


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """The database of a run of two ended trials and one that goes on, to be damaged."""
    storage = open_storage(tmp_path)
    end_one(storage)
    storage._backup._next = 0.0  # as if a while had passed
    end_one(storage)
    storage.report(storage.next().key, rows(0.25))
    storage._families["first"]._study._storage._backend.engine.dispose()
    return tmp_path / "optuna.db"


def overwrite(file: Path) -> None:
    size = file.stat().st_size
    with open(file, "r+b") as opened:
        opened.seek(size // 4)
        opened.write(b"\xa5" * (size // 2))


def no_database(file: Path) -> None:
    file.write_bytes(b"this is no database " * 300)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (overwrite, "damaged"),
        (no_database, "damaged"),
        (truncate, "damaged"),
        (lambda file: file.write_bytes(b""), "empty"),
        (lambda file: file.unlink(), "gone"),
    ],
)
def test_the_copy_takes_the_place_of_a_database_that_is(damage, told, damaged):
    damage(damaged)
    kept = damaged.read_bytes() if damaged.exists() else None
    said = []
    restore_if_damaged(damaged, said.append)
    (line,) = said
    assert f"it is {told}" in line and str(damaged) in line
    if kept is not None:  # nothing that was there is lost
        assert damaged.with_name("optuna.db.damaged-1").read_bytes() == kept
    again = open_storage(damaged.parent)
    states = [record.state for record in again.records()]
    assert states.count("complete") == 2
    assert len({again.next().key for _ in range(10)}) == 10


def test_a_sound_database_is_left_as_it_is(damaged):
    before = damaged.read_bytes()
    restore_if_damaged(damaged, pytest.fail)
    assert damaged.read_bytes() == before


def test_what_has_no_copy_is_not_begun_anew(damaged):
    backup_of(damaged).unlink()
    damaged.unlink()
    with pytest.raises(UserError, match="it is gone, and there is no copy"):
        restore_if_damaged(damaged, pytest.fail)
    assert not damaged.exists()


def test_damage_during_a_run_does_not_reach_the_copy(tmp_path):
    storage = open_storage(tmp_path)
    end_one(storage)
    copy = backup_of(tmp_path / "optuna.db")
    before = copy.read_bytes()
    storage._backup._next = 0.0
    key = storage.next().key
    storage.report(key, rows(0.5))
    (tmp_path / "optuna.db").unlink()
    with pytest.raises(SurroundingsError, match=r"optuna\.db: it is gone"):
        storage.finish(key)
    assert copy.read_bytes() == before and not (tmp_path / "optuna.db").exists()


def test_copying_a_large_database_does_not_slow_the_run(tmp_path, monkeypatch):
    storage, copies, clock = open_storage(tmp_path), [], [0.0]

    def slow_copy(source: Path, target: Path) -> None:
        clock[0] += 3.0
        copies.append(clock[0])
        snapshot(source, target)

    monkeypatch.setattr(backup.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(backup, "snapshot", slow_copy)
    for _ in range(300):  # a trial ends every second
        storage._backup.keep()
        clock[0] += 1.0
    assert 0.03 < 3.0 * len(copies) / clock[0] <= backup.MOST_OF_TIME + 0.01


def test_a_locked_database_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
    storage = open_storage(tmp_path)
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SurroundingsError, match="another program has it locked"):
            storage.next()
    assert storage.next() is not None


def test_a_full_disk_is_told(tmp_path):
    storage = open_storage(tmp_path)
    key = storage.next().key
    engine = storage._families["first"]._study._storage._backend.engine
    with engine.connect() as connection:  # the pool's only one: SQLite says so of a full disk
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(SurroundingsError, match="the disk is full; make room"):
        for epoch in range(1, 9):
            storage.report(
                key,
                [{"epoch": i, "val/accuracy": 0.5, "x": "y" * 9999} for i in range(1, epoch + 1)],
            )


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(SurroundingsError, match="it is gone"):
        open_storage(tmp_path / "not_there")
