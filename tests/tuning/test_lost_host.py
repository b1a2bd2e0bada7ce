"""Hosts come and go while a search runs."""

from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from tune_audio.space import SearchSpace
from tune_audio.tuning import study
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch):
    """A head that runs no trials; hosts are added by the tests."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    monkeypatch.setattr(study, "start_ray", lambda: True)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_trial_survives_more_hosts_than_a_worker_may_die(cluster, tone_corpus, tmp_path: Path):
    space = SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": 7},
            "search": {"sampler": "grid", "scheduler": "none"},
            "models": {"family": {"model": "lstm_cnn", "channels": 4, "hidden_size": 4}},
        }
    )
    plan = Plan(space.families["family"], [{"channels": 4, "hidden_size": 4, "batch_size": 16}])
    storage = Storage(tmp_path / "optuna.db", [plan], space.search, epochs=7)
    hosts, lost = [cluster.add_node(num_cpus=1)], []

    def lose_host(record) -> None:
        done = len(record.epochs)
        if record.state == "running" and done in (2, 4, 6) and done not in lost:
            lost.append(done)
            cluster.remove_node(hosts.pop())
            hosts.append(cluster.add_node(num_cpus=1))

    study.run(
        storage,
        tone_corpus,
        tmp_path / "trials",
        features=tmp_path / "features",
        feature_bytes=10**9,
        on_change=lose_host,
    )
    (record,) = storage.records()
    assert len(lost) >= 3  # a worker that dies three times is given up
    assert record.state == "complete", record.extra
    assert [row["epoch"] for row in record.epochs] == list(range(1, 8))
