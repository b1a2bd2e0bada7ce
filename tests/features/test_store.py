import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from tune_audio.features import store as feature_store
from tune_audio.features.store import SHARD_ROWS, FeatureStore

ROWS = 3 * SHARD_ROWS + 5


def double(rows):
    return np.stack([rows, 2 * rows], axis=1).astype(np.float32)


def test_what_is_read_is_what_was_computed(tmp_path):
    store = FeatureStore(tmp_path, 10**9)
    first = store.get("ab12", ROWS, double)
    again = FeatureStore(tmp_path, 10**9).get("ab12", ROWS, fail_if_called)
    assert (first.how, again.how) == ("computed", "read")
    np.testing.assert_array_equal(again.load(), double(np.arange(ROWS)))
    picked = np.array([ROWS - 1, 0, SHARD_ROWS])
    np.testing.assert_array_equal(again.gather(picked), double(picked))


def fail_if_called(rows):
    pytest.fail("computed again")


def test_an_entry_that_is_partly_there_is_completed_not_repeated(tmp_path):
    store, computed = FeatureStore(tmp_path, 10**9), []

    def stumble(rows):
        if len(rows) > 1:  # one row only asks for the size
            computed.append(int(rows[0]))
        if len(computed) == 2:
            raise RuntimeError("killed here")
        return double(rows)

    with pytest.raises(RuntimeError):
        store.get("ab12", ROWS, stumble)
    store.get("ab12", ROWS, stumble)
    assert computed == [0, SHARD_ROWS, SHARD_ROWS, 2 * SHARD_ROWS, 3 * SHARD_ROWS]


def test_over_the_limit_the_least_recently_used_goes(tmp_path):
    size = double(np.arange(ROWS)).nbytes + 4 * 128  # each shard has a header
    store = FeatureStore(tmp_path, int(2.5 * size))
    for key in ("aa1", "bb1"):
        store.get(key, ROWS, double)
        time.sleep(0.02)
    store.get("aa1", ROWS, fail_if_called)
    store.get("cc1", ROWS, double)
    assert store.get("aa1", ROWS, fail_if_called).how == "read"
    assert store.get("bb1", ROWS, double).how == "computed"


def test_what_cannot_fit_is_not_stored(tmp_path):
    store = FeatureStore(tmp_path, 5000)
    assert store.get("ab12", ROWS, double, siblings=10) is None
    assert not list(tmp_path.rglob("*.npy"))


def disturbed(store, key, times):
    """A `compute` during which, so many times, another process asks for another entry."""
    left = [times]

    def compute(rows):
        if len(rows) > 1 and left[0]:
            left[0] -= 1
            store.get(key, ROWS, double)
        return double(rows)

    return compute


def stored_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.npy"))


@pytest.mark.parametrize("times", [1, 2])
def test_an_entry_evicted_while_it_is_computed_is_computed_again(tmp_path, times):
    store = FeatureStore(tmp_path, int(1.5 * double(np.arange(ROWS)).nbytes))
    entry = store.get("aa1", ROWS, disturbed(store, "bb1", times))
    assert entry.how == "computed"
    np.testing.assert_array_equal(entry.load(), double(np.arange(ROWS)))


def test_two_entries_computed_at_once_are_not_let_over_the_limit(tmp_path):
    limit = int(1.5 * double(np.arange(ROWS)).nbytes)
    store = FeatureStore(tmp_path, limit)
    store.get("aa1", ROWS, disturbed(store, "bb1", 1))
    assert stored_bytes(tmp_path) <= limit
    roomy = FeatureStore(tmp_path / "roomy", 2 * limit)
    roomy.get("aa1", ROWS, disturbed(roomy, "bb1", 1))
    assert roomy.get("bb1", ROWS, fail_if_called).how == "read"


def test_entries_that_keep_evicting_each_other_are_done_without(tmp_path):
    store = FeatureStore(tmp_path, int(1.5 * double(np.arange(ROWS)).nbytes))
    assert store.get("aa1", ROWS, disturbed(store, "bb1", 10**9)) is None
    assert store.get("bb1", ROWS, fail_if_called).how == "read"


def test_an_entry_evicted_between_two_shards_does_not_come_back_unreserved(tmp_path, monkeypatch):
    limit = int(1.5 * double(np.arange(ROWS)).nbytes)
    store, write, stored = FeatureStore(tmp_path, limit), feature_store._write, []

    def disturbed_write(path, features):
        write(path, features)
        if path.name == "000000.npy" and path.parent.name == "aa1" and not stored:
            store.get("bb1", ROWS, double)
        stored.append(stored_bytes(tmp_path))

    monkeypatch.setattr(feature_store, "_write", disturbed_write)
    entry = store.get("aa1", ROWS, double)
    np.testing.assert_array_equal(entry.load(), double(np.arange(ROWS)))
    assert max(stored) <= limit


def test_what_an_earlier_version_left_half_done_is_completed(tmp_path):
    store = FeatureStore(tmp_path, 10**9)
    store.get("ab12", ROWS, double)
    for path in (tmp_path / "ab" / "ab12").iterdir():
        if path.name not in ("000000.npy", "000002.npy"):
            path.unlink()
    assert store.get("ab12", ROWS, double).how == "computed"


def test_processes_share_the_work_and_compute_nothing_twice(tmp_path):
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    workers = [context.Process(target=compute_slowly, args=(tmp_path, log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    done = log.read_text().split()
    assert sorted(map(int, done)) == [0, SHARD_ROWS, 2 * SHARD_ROWS, 3 * SHARD_ROWS]


def compute_slowly(folder, log):
    def slowly(rows):
        if len(rows) > 1:
            time.sleep(0.1)
            with open(log, "a") as file:
                file.write(f"{rows[0]}\n")
        return double(rows)

    entry = FeatureStore(folder / "store", 10**9).get("ab12", ROWS, slowly)
    np.testing.assert_array_equal(entry.load(), double(np.arange(ROWS)))


def test_a_killed_writer_leaves_nothing_that_is_read(tmp_path):
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=compute_slowly, args=(tmp_path, tmp_path / "log"))
    worker.start()
    time.sleep(0.25)  # in the middle of the entry
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    entry = FeatureStore(tmp_path / "store", 10**9).get("ab12", ROWS, double)
    np.testing.assert_array_equal(entry.load(), double(np.arange(ROWS)))
