import optuna
import pytest
from studies import GRID, make_space, open_storage, rows, run_all

from tune_audio.errors import UserError
from tune_audio.tuning.database import open_database
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage


def test_a_grid_is_run_once_each_family_in_turn(tmp_path):
    storage = open_storage(tmp_path)
    handed_out = [storage.next() for _ in range(12)]
    assert storage.next() is None
    assert [record.family for record in handed_out[:4]] == ["first", "second"] * 2
    for family in ("first", "second"):
        of_family = [record.params for record in handed_out if record.family == family]
        assert of_family == storage.plans[family].family.grid()


def test_it_survives_being_left_at_any_moment(tmp_path):
    storage = open_storage(tmp_path)
    done, going, started = (storage.next() for _ in range(3))
    storage.report(done.key, rows(*[0.7] * 9))
    storage.finish(done.key, note="kept")
    storage.report(going.key, rows(0.4, 0.6))

    again = open_storage(tmp_path)  # as a new process would, without any goodbye of the first
    assert again.record(done.key).state == "complete"
    assert again.record(done.key).extra == {"note": "kept"}
    assert again.record(going.key).epochs == rows(0.4, 0.6)
    assert {again.next().key, again.next().key} == {going.key, started.key}  # these first
    rest = run_all(again)
    assert len({record.key for record in rest}) == 12


def test_a_search_killed_while_a_trial_is_suggested_never_runs_the_half_of_it(tmp_path):
    ranges = {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "dropout": 0.25}
    space = make_space(ranges, sampler="random", trials=2)
    storage = open_storage(tmp_path, space)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna.Trial, "set_user_attr", lambda *_: (_ for _ in ()).throw(KeyError))
        with pytest.raises(KeyError):
            storage.next()
    records = run_all(open_storage(tmp_path, space))
    assert len(records) == 4
    assert all(record.params["dropout"] == 0.25 for record in records)
    assert {record.state for record in records} == {"complete"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"corpus": "other"}, "data: the recordings"),
        ({"epochs": 5}, "epochs: got 5; this run was started with 9"),
        ({"metric": "val/loss"}, "search.metric: got val/loss"),
        ({"folds": 4}, "search.folds: got 4; this run was started with None"),
    ],
)
def test_what_all_trials_have_in_common_does_not_change(tmp_path, changed, told):
    def open_again(corpus="corpus", epochs=9, **search):
        space = make_space(**search)
        plans = [Plan(family, family.grid()) for family in space.families.values()]
        return Storage(tmp_path / "optuna.db", plans, space.search, epochs=epochs, corpus=corpus)

    done = run_all(open_again())
    with pytest.raises(UserError, match=told):
        open_again(**changed)
    assert open_again().records() == done  # nothing of it is lost
    assert open_again(corpus=None).records() == done


def test_epochs_reported_twice_or_late_are_written_once(tmp_path):
    storage = open_storage(tmp_path)
    key = storage.next().key
    storage.report(key, rows(0.1))
    storage.report(key, rows(0.1, 0.2, 0.3))  # the second one was lost on its way
    storage.report(key, rows(0.1, 0.2, 0.3))
    assert open_storage(tmp_path).record(key).epochs == rows(0.1, 0.2, 0.3)
    assert storage.record(key).value == 0.3


def test_the_best_epoch_counts_in_the_metric_s_direction(tmp_path):
    higher = open_storage(tmp_path)
    key = higher.next().key
    higher.report(key, rows(0.2, 0.6, 0.5))
    assert higher.record(key).value == 0.6
    (tmp_path / "loss").mkdir()
    lower = open_storage(tmp_path / "loss", make_space(metric="val/loss"))
    key = lower.next().key
    lower.report(key, [{"epoch": i, "val/loss": v} for i, v in ((1, 0.9), (2, 0.4), (3, 0.8))])
    assert lower.record(key).value == 0.4


def test_ends_are_told_apart(tmp_path):
    storage = open_storage(tmp_path)
    complete, stopped, diverged, silent = (storage.next().key for _ in range(4))
    storage.report(complete, rows(*[0.5] * 9))
    storage.report(stopped, rows(0.5))
    storage.report(diverged, rows(0.9))
    storage.finish(complete)
    storage.finish(stopped)
    storage.finish(diverged, "the loss is no longer finite in epoch 2")
    storage.finish(silent)
    storage.finish(complete, "said again")
    for opened in (storage, open_storage(tmp_path)):
        states = [opened.record(key).state for key in (complete, stopped, diverged, silent)]
        assert states == ["complete", "stopped", "failed", "failed"]
        assert opened.record(diverged).extra["error"].startswith("the loss")


def test_asha_stops_a_family_s_losers_and_spares_the_other_family(tmp_path):
    storage = open_storage(tmp_path, make_space(scheduler="asha", reduction_factor=3))
    keys = {"first": [], "second": []}
    while record := storage.next():
        keys[record.family].append(record.key)
    for i, key in enumerate(keys["first"]):
        assert storage.report(key, rows(0.9 + i / 100)) is False  # each better than the last
    assert storage.report(keys["second"][0], rows(0.3)) is False  # slow, but among its own kind
    assert storage.report(keys["second"][1], rows(0.2)) is True


def test_asha_s_rungs_outlive_the_process(tmp_path):
    space = make_space(scheduler="asha")
    storage = open_storage(tmp_path, space)
    first, _, second, _ = (storage.next() for _ in range(4))
    assert storage.report(first.key, rows(0.9)) is False
    assert open_storage(tmp_path, space).report(second.key, rows(0.5)) is True


def test_a_small_space_is_not_sampled_twice(tmp_path):
    space = make_space({"lr": [1e-2, 1e-3], "batch_size": [32, 64]}, sampler="tpe", trials=10)
    records = run_all(open_storage(tmp_path, space))
    for family in ("first", "second"):
        params = [str(record.params) for record in records if record.family == family]
        assert len(params) == len(set(params)) == 4


def test_tpe_comes_back_with_other_suggestions_after_a_resume(tmp_path):
    space = make_space({"lr": {"low": 1e-5, "high": 1e-1, "log": True}}, sampler="tpe", trials=6)
    storage = open_storage(tmp_path, space)
    for _ in range(4):
        record = storage.next()
        storage.report(record.key, rows(*[0.5] * 9))
        storage.finish(record.key)
    records = run_all(open_storage(tmp_path, space))
    assert len(records) == 12
    assert len({record.params["lr"] for record in records if record.family == "first"}) == 6


def test_more_trials_can_be_added_to_a_finished_search(tmp_path):
    run_all(open_storage(tmp_path))
    longer = open_storage(tmp_path, make_space(GRID | {"lr": [1e-2, 1e-3, 1e-4, 1e-5]}))
    added = []
    while record := longer.next():
        added.append(record.params["lr"])
        longer.finish(record.key)
    assert added == [1e-5] * 4
    assert len(longer.records()) == 16


def test_a_retraining_runs_the_given_configurations(tmp_path):
    space = make_space()
    family = space.families["first"]
    given = [{"lr": 0.001, "batch_size": 32, "seed": seed} for seed in (0, 1)]
    storage = Storage(
        tmp_path / "optuna.db", [Plan(family, given)], space.search, epochs=9, study="retrain"
    )
    assert [record.params for record in run_all(storage)] == given
    assert storage.totals() == {"first": 2}
    assert storage.finished()


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "cmaes", "nsga2"])
def test_every_sampler_runs(tmp_path, sampler):
    ranges = {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "dropout": {"low": 0.0, "high": 0.5}}
    storage = open_storage(tmp_path, make_space(ranges, sampler=sampler, trials=4))
    assert len(run_all(storage, lambda record: record.params["dropout"])) == 8


@pytest.mark.parametrize(("kind", "journal"), [(None, "wal"), ("nfs4", "truncate")])
def test_a_log_that_other_machines_cannot_share_is_not_used_on_a_network(
    tmp_path, monkeypatch, kind, journal
):
    monkeypatch.setattr("tune_audio.tuning.database.network_file_system", lambda path: kind)
    database = open_database(tmp_path / "optuna.db")
    with database.engine.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    assert mode == journal


def fail_one(storage):
    key = storage.next().key
    storage.finish(key, "the loss is no longer finite in epoch 1")
    return storage.record(key)


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_what_failed_is_run_once_more_when_asked_for(tmp_path, sampler):
    ranges = GRID if sampler == "grid" else {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    space = make_space(ranges, sampler=sampler, trials=None if sampler == "grid" else 6)
    storage = open_storage(tmp_path, space)
    failed = [fail_one(storage) for _ in range(3)]
    run_all(storage)
    assert storage.finished()
    assert open_storage(tmp_path, space).next() is None  # nobody has asked

    again = open_storage(tmp_path, space, retry_failed=True)
    assert not again.finished()
    handed_out = [again.next() for _ in failed]
    assert again.next() is None
    assert sorted((r.family, str(r.params)) for r in handed_out) == sorted(
        (r.family, str(r.params)) for r in failed
    )
    assert all(record.epochs == [] for record in handed_out)
    again.finish(handed_out[0].key, "diverged again")
    for record in handed_out[1:]:
        again.report(record.key, rows(*[0.5] * 9))
        again.finish(record.key)

    states = [record.state for record in open_storage(tmp_path, space).records()]
    assert sorted(states) == ["complete"] * 11 + ["failed"]
    third = open_storage(tmp_path, space, retry_failed=True)
    assert third.next().params == handed_out[0].params and third.next() is None
