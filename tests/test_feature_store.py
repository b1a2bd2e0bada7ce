import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from tune_audio.feature_store import SHARD_ROWS, FeatureStore

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
