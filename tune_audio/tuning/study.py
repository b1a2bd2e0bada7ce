"""A storage's trials as one Ray Tune run: resources, parallelism, restarts."""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import ray
from ray import tune
from ray.tune import (
    Callback,
    CheckpointConfig,
    FailureConfig,
    PlacementGroupFactory,
    RunConfig,
    TuneConfig,
)

from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.reporting.records import TrialRecord
from tune_audio.space import Family, Search
from tune_audio.tuning.environment import prepare_workers
from tune_audio.tuning.gpus import asked_gpus, pack
from tune_audio.tuning.packing import Packing
from tune_audio.tuning.scheduler import StudyScheduler
from tune_audio.tuning.searcher import RESTARTS, StudySearcher
from tune_audio.tuning.storage import Storage
from tune_audio.tuning.trial import CHECKPOINT, AudioTrial


@dataclass(frozen=True)
class Job:
    """What all trials of one run share."""

    corpus: str  # folder of the corpus
    features: str  # folder of the feature store
    feature_bytes: int  # its limit
    epochs: int
    metric: str  # e.g. "val/accuracy"
    maximize: bool
    folds: int | None  # of cross-validation; None for the one split
    test: bool  # a retraining: keep the best weights, test once, save the model


def start_ray() -> bool:
    """Join the cluster this machine belongs to, or start Ray on this machine alone.

    Returns whether it joined one, which may have or get other machines than this.
    """
    os.environ.update(
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",  # our storage is the log
        RAY_AIR_NEW_OUTPUT="0",
        TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0",
    )
    prepare_workers()
    # Ray alone on this machine is not for others: everything stays on the loopback interface.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    # A worker that dies is started again; a trial that fails is in the tables with its reason.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # Where ray.init looks, by its documentation; here only to know which of the two it did.
    latest = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    joined = "RAY_ADDRESS" in os.environ or latest.exists()
    if not ray.is_initialized():
        ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    token = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(FileNotFoundError):
        token.chmod(0o600)  # Ray writes it readable for everybody
    return joined


def check_needs(needs: Mapping[str, Mapping[str, float]], *, may_grow: bool) -> None:
    """See that some machine can run a trial of each family: Ray would wait for one in silence.

    needs: family to CPUs and GPUs of a trial. may_grow: tell it, for machines may be added.
    Raises UserError where none can be.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    there = " or ".join(sorted({_amounts(machine) for machine in machines}))
    for family, need in needs.items():
        if any(all(m.get(name, 0) >= n for name, n in need.items()) for m in machines):
            continue
        problem = (
            f"models.{family}: a trial needs {_amounts(need)}, and the machines here have {there}"
        )
        if not may_grow:
            raise UserError(
                f"{problem}; go on with --resume NAME and less of them by --set "
                f"search.cpus_per_trial=1, search.gpus_per_trial=auto or models.{family}.resources"
            )
        click.echo(f"{problem}; waiting for one that has it to join the cluster", err=True)


def _amounts(resources: Mapping[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"


def resources(family: Family, search: Search) -> dict[str, float]:
    """CPUs and GPUs of one trial of a family: its own `resources`, else the search's.

    Where GPUs are auto it is to have a part of one, if there are any: how much, `pack` finds out.
    """
    cpus = family.resources.get("cpus", search.cpus_per_trial)
    gpus = asked_gpus(family, search)
    if gpus == "auto":
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0))
    return {"CPU": cpus, "GPU": gpus}


def run(
    storage: Storage,
    corpus: Corpus,
    folder: Path,
    *,
    features: Path,
    feature_bytes: int,
    test: bool = False,
    demonstration: bool = False,
    on_change: Callable[[TrialRecord], None] = lambda record: None,
) -> None:
    """Run all trials that the storage has to hand out; it knows their results afterwards.

    folder: absolute; a trial's checkpoint and files lie in folder/<key>.
    demonstration: the audio is synthesised, which a model that is saved is to say.
    on_change: called on the driver whenever a trial has started, gone on or ended.
    """
    may_grow = start_ray()
    job = Job(
        corpus=str(corpus.folder),
        features=str(features),
        feature_bytes=feature_bytes,
        epochs=storage.epochs,
        metric=storage.search.metric,
        maximize=storage.maximize,
        folds=None if test else storage.search.folds,
        test=test,
    )
    needs = {name: resources(plan.family, storage.search) for name, plan in storage.plans.items()}
    check_needs(needs, may_grow=may_grow)
    say = partial(click.echo, err=True)
    packing = Packing(pack(needs, storage.plans, storage.search, corpus, asdict(job), say=say))

    def configure(record: TrialRecord) -> dict[str, Any]:
        need = packing.begin(record.key, record.family)
        family = storage.plans[record.family].family
        train_params, model_params = family.split(record.params)
        return {
            "key": record.key,
            "family": record.family,
            "folder": str(folder / record.key),
            "model": family.model,
            "model_params": model_params,
            "params": record.params,
            "train_params": asdict(train_params),
            "threads": max(1, int(need["CPU"])),
            "cpus": need["CPU"],
            "gpus": need["GPU"],
            "demonstration": demonstration,
        }

    scratch = folder / ".ray"  # Ray's own notes: the storage makes them needless after the run
    shutil.rmtree(scratch, ignore_errors=True)
    trainable = tune.with_resources(
        tune.with_parameters(AudioTrial, job=asdict(job)),
        lambda config: PlacementGroupFactory([{"CPU": config["cpus"], "GPU": config["gpus"]}]),
    )
    tune.Tuner(
        trainable,
        tune_config=TuneConfig(
            search_alg=StudySearcher(storage, configure, packing, say),
            scheduler=StudyScheduler(storage),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["key"],
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            failure_config=FailureConfig(max_failures=RESTARTS),
            # Trials save themselves, where a later process finds it without Ray's help.
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[_Watch(storage, folder, on_change)],
        ),
    ).fit()
    shutil.rmtree(scratch, ignore_errors=True)
    for record in storage.records():  # a driver killed at a trial's end had no time to clear up
        if record.state != "running":
            clear_up(folder / record.key)
    with contextlib.suppress(OSError):  # it stays if something of a trial is left to be seen
        folder.rmdir()


def clear_up(trial_folder: Path) -> None:
    """Remove what an ended trial needs no more; the rest is kept: a model, an error."""
    (trial_folder / CHECKPOINT).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        trial_folder.rmdir()


class _Watch(Callback):
    """Tells the driver's listeners of every change; clears up after a trial's end."""

    def __init__(
        self, storage: Storage, folder: Path, on_change: Callable[[TrialRecord], None]
    ) -> None:
        self.storage, self.folder, self.on_change = storage, folder, on_change

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in StudySearcher

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._changed(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._changed(trial)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial)

    def _changed(self, trial: Any) -> None:
        self.on_change(self.storage.record(trial.config["key"]))

    def _ended(self, trial: Any) -> None:
        if self.storage.record(trial.config["key"]).state != "running":  # else it is repeated
            clear_up(self.folder / trial.config["key"])
        self._changed(trial)
