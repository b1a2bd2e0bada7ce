"""Which part of a GPU a family's trials get where nobody has said: measured before the first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError

from tune_audio.costs.family_costs import SMALL, FamilyCosts
from tune_audio.costs.measure import Measurement, measure
from tune_audio.costs.packing import Node, share_of_gpu
from tune_audio.costs.remembered import Remembered, key_of
from tune_audio.data.corpus import Corpus
from tune_audio.features.store import FeatureStore
from tune_audio.machine.cached import human
from tune_audio.space import Family, Search
from tune_audio.tuning.cluster import machines
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.hosts import find_home
from tune_audio.tuning.samplers import likely_configurations

ACCELERATOR = "accelerator_type:"  # how Ray names a resource after the kind of a node's GPUs
DIED = (WorkerCrashedError, OutOfMemoryError)
Measure = Callable[..., Measurement]
Result = Measurement | str  # or why it could not be made


def asked_gpus(family: Family, search: Search) -> Any:
    """GPUs of a trial as the space has them: a number, or auto."""
    return family.resources.get("gpus", search.gpus_per_trial)


def pack(
    needs: Mapping[str, Mapping[str, float]],
    plans: Mapping[str, Plan],
    search: Search,
    corpus: Corpus,
    job: Mapping[str, Any],
    *,
    say: Callable[[str], None],
    measure: Measure = measure,
) -> dict[str, dict[str, float]]:
    """CPUs and GPUs of a trial of each family, by measuring those whose GPUs are auto.

    needs: by what was asked for. job: `study.Job` as a dict. say: told a line a family.
    Where there is no GPU nothing is measured and nothing changed.
    """
    packed = {family: dict(need) for family, need in needs.items()}
    kinds = _kinds_of_gpus()
    auto = [name for name, plan in plans.items() if asked_gpus(plan.family, search) == "auto"]
    if not kinds or not auto:
        return packed
    store = FeatureStore(Path(job["features"]), job["feature_bytes"])
    costs = {}
    for name in auto:
        family, of_plan = plans[name].family, plans[name].configurations
        drawn = likely_configurations(family, plans[name].trials) if of_plan is None else of_plan
        costs[name] = FamilyCosts(family, drawn, corpus, job["epochs"], job["folds"], store)
    tasks = {
        (name, device): _Task(costs[name], packed[name]["CPU"], device, job)
        for name in auto
        for device in (*kinds, *(["cpu"] if costs[name].costliest.trained <= SMALL else []))
    }
    known = _measured(tasks, Path(job["features"]).with_name("measurements"), measure, say)
    for name in auto:
        on_gpus = [known[name, kind] for kind in kinds]
        share = _share(name, on_gpus, say)
        on_cpu, task = known.get((name, "cpu")), tasks[name, kinds[0]]
        if on_cpu is not None and _on_cpu_instead(task, share, on_cpu, on_gpus[0], say):
            share = 0.0
        packed[name]["GPU"] = share
    return packed


@dataclass(frozen=True)
class _Task:
    """One family to be measured on one kind of device."""

    costs: FamilyCosts
    cpus: float
    device: str
    job: Mapping[str, Any]

    @property
    def gpus(self) -> float:
        return float(self.device != "cpu")

    @property
    def config(self) -> dict[str, Any]:
        return self.costs.config(self.costs.costliest, self.cpus, self.gpus)

    @property
    def key(self) -> str:
        costs = self.costs
        return key_of(costs.corpus, self.config, self.job, self.device, costs.augments)

    def start(self, measure: Measure) -> Any:
        """Ray's promise of a measurement; on a GPU it has the GPU to itself."""
        kind = {self.device: 0.001} if self.device.startswith(ACCELERATOR) else {}
        # A process of its own, whose memory is that of the measurement alone.
        alone = ray.remote(max_calls=1, max_retries=0)(_run)
        run = alone.options(num_cpus=self.cpus, num_gpus=self.gpus, resources=kind)
        return run.remote(measure, self.config, dict(self.job), self.costs.augments)


def _run(
    measure: Measure, config: Mapping[str, Any], job: Mapping[str, Any], augments: list[str]
) -> Measurement:
    home = find_home(dict(job))
    corpus = Corpus.open(home.corpus())
    config = {**config, "model_params": home.brought(config["model_params"])}
    return measure(corpus, config, job, augments=augments, feature_bytes=job["feature_bytes"])


def _measured(
    tasks: Mapping[Any, _Task], folder: Path, measure: Measure, say: Callable[[str], None]
) -> dict[Any, Result]:
    """Each task's measurement, remembered or made now, or the reason why there is none."""
    remembered = Remembered(folder)
    found: dict[Any, Result] = {}
    started = {}
    for name, task in tasks.items():
        if known := remembered.get(task.key):
            found[name] = known
        else:
            started[name] = task.start(measure)
    if started:
        say("Measuring what trials take of a GPU: two steps of every family")
    for name, promise in started.items():
        try:
            made = found[name] = ray.get(promise)
            remembered.put(tasks[name].key, made)
        except DIED:
            found[name] = Measurement(tasks[name].device, out_of_memory=True)
        except RayTaskError as error:  # the trials will meet it, too, and say more of it
            found[name] = str(error.cause).partition("\n")[0] or type(error.cause).__name__
    return found


def _share(family: str, found: Sequence[Result], say: Callable[[str], None]) -> float:
    """What fits on each kind of GPU; a whole one where that is not known."""
    shares = []
    for on_gpu in found:
        if isinstance(on_gpu, str):
            say(f"models.{family}: a GPU a trial, for it could not be measured ({on_gpu})")
            return 1.0
        if on_gpu.out_of_memory:
            say(
                f"models.{family}: a GPU a trial, and two steps of its largest batch are too much "
                f"for {on_gpu.device}: expect failures; smaller are safe"
            )
            return 1.0
        assert on_gpu.peak_bytes is not None and on_gpu.device_bytes is not None
        shares.append(share_of_gpu(on_gpu.peak_bytes, on_gpu.device_bytes))
    largest = max(on_gpu.peak_bytes or 0 for on_gpu in found if isinstance(on_gpu, Measurement))
    say(f"models.{family}: {max(shares):g} of a GPU a trial, of which it took {human(largest)}")
    return max(shares)


def _on_cpu_instead(
    task: _Task, share: float, on_cpu: Result, on_gpu: Result, say: Callable[[str], None]
) -> bool:
    """Whether all trials of a family, alone in the cluster, end sooner without its GPUs."""
    for found in (on_cpu, on_gpu):
        if isinstance(found, str) or found.out_of_memory:
            return False
    assert isinstance(on_cpu, Measurement) and isinstance(on_gpu, Measurement)
    nodes = [Node(m.get("CPU", 0), int(m.get("GPU", 0))) for m in machines()]
    cpu_seconds, gpu_seconds = task.costs.seconds_without_and_with(
        on_cpu, on_gpu, task.cpus, share, nodes
    )
    if cpu_seconds > gpu_seconds:
        return False
    say(
        f"models.{task.costs.family.name}: its trials run without a GPU, which is as quick "
        f"({cpu_seconds:.0f} s for all, with one {gpu_seconds:.0f} s)"
    )
    return True


def _kinds_of_gpus() -> list[str]:
    """The kinds of GPUs in the cluster as resources of Ray, "GPU" where it cannot tell."""
    found: dict[str, None] = {}
    for machine in machines():
        if machine.get("GPU", 0):
            named = [name for name in machine if name.startswith(ACCELERATOR)]
            found[named[0] if named else "GPU"] = None
    return list(found)
