"""A storage's trials as one Ray Tune run: resources, parallelism, restarts."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import (
    CheckpointConfig,
    FailureConfig,
    PlacementGroupFactory,
    RunConfig,
    TuneConfig,
)

from tune_audio.costs.packing import Packing
from tune_audio.data.corpus import Corpus
from tune_audio.data.progress import say
from tune_audio.errors import SurroundingsError
from tune_audio.evidence.calibration import Calibration
from tune_audio.machine.signals import handlers_kept
from tune_audio.reporting.records import TrialRecord
from tune_audio.space import Family, Search
from tune_audio.space.domains import Choice, Fixed
from tune_audio.tuning.callbacks import (
    Trouble,
    Watch,
    clear_up,
    keep_some,
    memory_kills_known,
)
from tune_audio.tuning.cluster import check_needs, gpus_may_come, start_ray
from tune_audio.tuning.files import Served, serve
from tune_audio.tuning.gpus import asked_gpus, pack
from tune_audio.tuning.scheduler import StudyScheduler
from tune_audio.tuning.searcher import StudySearcher
from tune_audio.tuning.storage import Storage
from tune_audio.tuning.trial import AudioTrial

NONE: Mapping[str, Calibration] = {}
UNSEEN_SHARE = 0.25  # of a GPU that is still to join: there is nothing to measure it on


@dataclass(frozen=True)
class Job:
    """What all trials of one run share."""

    corpus: str  # folder of the corpus
    features: str  # folder of the feature store
    feature_bytes: int  # its limit
    cache_gb: float | None  # the limit on hosts with a cache of their own; None for half of a disk
    pretrained: tuple[str, ...]  # folders of the driver's host from which weights may be read
    served: Served | None  # to hosts that do not see these folders; None: all do
    epochs: int
    metric: str  # e.g. "val/accuracy"
    maximize: bool
    folds: int | None  # of cross-validation; None for the one split
    test: bool  # a retraining: keep the best weights, test once, save the model
    train_on: str  # "train", or "train+validation": then nothing validates


def resources(family: Family, search: Search, coming: float = 0.0) -> dict[str, float]:
    """CPUs and GPUs of one trial of a family: its own `resources`, else the search's.

    Where GPUs are auto it is to have a part of one, if there are any: how much, `pack` finds out.
    coming: the part where there are none yet.
    """
    cpus = family.resources.get("cpus", search.cpus_per_trial)
    gpus = asked_gpus(family, search)
    if gpus == "auto":
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0)) or coming
    return {"CPU": cpus, "GPU": gpus}


def run(
    storage: Storage,
    corpus: Corpus,
    folder: Path,
    *,
    features: Path,
    feature_bytes: int,
    cache_gb: float | None = None,
    test: bool = False,
    train_on: str = "train",
    calibrations: Mapping[str, Calibration] = NONE,
    demonstration: bool = False,
    on_change: Callable[[TrialRecord], None] = lambda record: None,
) -> None:
    """Run all trials that the storage has to hand out; it knows their results afterwards.

    folder: absolute; a trial's checkpoint and files lie in folder/<key>.
    demonstration: the audio is synthesised, which a model that is saved is to say.
    calibrations: of models that are saved, by family, from what its best trial said of validation.
    on_change: called on the driver whenever a trial has started, gone on or ended.
    Raises SurroundingsError where a trial could not go on for reasons outside of it: what has ended
    is kept, and the rest is not given up.
    """
    may_grow = start_ray()
    coming = UNSEEN_SHARE if may_grow and gpus_may_come() else 0.0
    search, plans = storage.search, storage.plans
    needs = {name: resources(plan.family, search, coming) for name, plan in plans.items()}
    if coming and any(need["GPU"] == coming for need in needs.values()):
        say(
            f"no GPU has joined the cluster yet: a trial gets {coming:g} of one where its GPUs are "
            "auto; search.gpus_per_trial says otherwise"
        )
    check_needs(needs, may_grow=may_grow)

    def configure(record: TrialRecord) -> dict[str, Any]:
        need = packing.begin(record.key, record.family)
        family = storage.plans[record.family].family
        given = {name: value for name, value in record.params.items() if name != "epochs"}
        train_params, model_params = family.split(given)
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
            "patience_seconds": storage.patience_seconds(record.family),
            "demonstration": demonstration,
            "calibration": calibrations.get(record.family),
        }

    pretrained = tuple(sorted(_folders(plan.family for plan in storage.plans.values())))
    with serve(folder, [corpus.folder, *pretrained]) as served:
        job = vars(
            Job(
                corpus=str(corpus.folder),
                features=str(features),
                feature_bytes=feature_bytes,
                cache_gb=cache_gb,
                pretrained=pretrained,
                served=served,
                epochs=storage.epochs,
                metric=storage.search.metric,
                maximize=storage.maximize,
                folds=storage.search.fold_count,
                test=test,
                train_on=train_on,
            )
        )
        packing = Packing(pack(needs, plans, search, corpus, job, say=say))
        searcher = StudySearcher(storage, configure, packing, may_grow=may_grow, say=say)
        _fit(job, searcher, folder, on_change)
    for record in storage.records():  # a driver killed at a trial's end had no time to clear up
        if record.state != "running":
            clear_up(folder / record.key)
    for family in plans:
        keep_some(storage, family, folder)
    with contextlib.suppress(OSError):  # it stays if something of a trial is left to be seen
        folder.rmdir()
    if searcher.trouble is not None:
        raise SurroundingsError(
            f"{searcher.trouble}. What has ended is kept; mend that, and go on with --resume latest"
        )


def _fit(
    job: dict[str, Any],
    searcher: StudySearcher,
    folder: Path,
    on_change: Callable[[TrialRecord], None],
) -> None:
    """Ray Tune's part: trials where there is room, a new worker for one that has died."""
    scratch = folder / ".ray"  # Ray's own notes: the storage makes them needless after the run
    shutil.rmtree(scratch, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(AudioTrial, job=job),
            lambda config: PlacementGroupFactory([{"CPU": config["cpus"], "GPU": config["gpus"]}]),
        ),
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(searcher),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["key"],
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            stop=Trouble(searcher),
            failure_config=FailureConfig(max_failures=0),  # our searcher hands them out again
            # Trials save themselves, where a later process finds it without Ray's help.
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[Watch(searcher, folder, on_change)],
        ),
    )
    try:
        with memory_kills_known(), handlers_kept():
            tuner.fit()
    except (OSError, EOFError) as error:  # a full disk: the notes are cut short
        searcher.trouble = searcher.trouble or f"{scratch}, where Ray notes what it does: {error}"
    shutil.rmtree(scratch, ignore_errors=True)


def _folders(families: Iterable[Family]) -> set[str]:
    """The folders among what parameters may be: weights that hosts elsewhere do not have."""
    domains = [domain for family in families for domain in family.domains.values()]
    choices = [v for d in domains if isinstance(d, Fixed | Choice) for v in d.values()]
    return {v for v in choices if isinstance(v, str) and os.path.isabs(v) and os.path.isdir(v)}
