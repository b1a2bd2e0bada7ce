"""The machines that Ray has: joined or started, and how many trials there is room for."""

import contextlib
import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from tune_audio.costs.packing import Node
from tune_audio.data.progress import say
from tune_audio.errors import UserError
from tune_audio.machine.environment import WORKERS, joins_cluster, prepare
from tune_audio.machine.signals import interrupts_wait
from tune_audio.space.yaml_text import read_yaml

Need = Mapping[str, float]  # of one trial: {"CPU": 1, "GPU": 0.25}
NODES_SECONDS = 1.0  # what is known of the machines is asked for anew after this time


def start_ray() -> bool:
    """Join the cluster this machine belongs to, or start Ray on this machine alone.

    Returns whether it joined one, which may have or get other machines than this.
    """
    prepare()
    # A worker that dies is started again; a trial that fails is in the tables with its reason.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    joined = joins_cluster()
    if not ray.is_initialized():
        # Workers elsewhere do not inherit what was set here.
        theirs = {name: os.environ.get(name, value) for name, value in WORKERS.items()}
        how: dict[str, Any] = {"runtime_env": {"env_vars": theirs}} if joined else {}
        with interrupts_wait():  # and afterwards, too: Ray's SIGTERM ends a process at once
            ray.init(
                include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, **how
            )
    token = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(FileNotFoundError):
        token.chmod(0o600)  # Ray writes it readable for everybody
    return joined


def check_needs(needs: Mapping[str, Need], *, may_grow: bool) -> None:
    """See that some machine can run a trial of each family: Ray would wait for one in silence.

    needs: family to CPUs and GPUs of a trial. may_grow: tell it, for machines may be added.
    Raises UserError where none can be.
    """
    known = machines()
    there = " or ".join(sorted({_amounts(machine) for machine in known}))
    for family, need in needs.items():
        if any(all(m.get(name, 0) >= n for name, n in need.items()) for m in known):
            continue
        problem = (
            f"models.{family}: a trial needs {_amounts(need)}, and the machines here have {there}"
        )
        if not may_grow:
            raise UserError(
                f"{problem}; go on with --resume NAME and less of them by --set "
                f"search.cpus_per_trial=1, search.gpus_per_trial=auto or models.{family}.resources"
            )
        say(f"{problem}; waiting for one that has it to join the cluster")


def _amounts(resources: Need) -> str:
    return f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"


def machines() -> list[Need]:
    """What each machine of the cluster has, as Ray names it: {"CPU": 8, "GPU": 1, ...}."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def gpus_may_come(config: Path | None = None) -> bool:
    """Whether the cluster's file lists machines with GPUs, which come once trials wait for them.

    config: what `ray up` has left on the head, where the driver runs; it is there by default.
    """
    config = config or Path.home() / "ray_bootstrap_config.yaml"
    if not config.exists():
        return False
    kinds = read_yaml(config.read_text(), str(config)).get("available_node_types", {})
    return any(kind.get("resources", {}).get("GPU", 0) for kind in kinds.values())


class Slots:
    """How many trials of a need all machines together can run at once, as they are now."""

    def __init__(self) -> None:
        self._asked, self._known = -math.inf, list[Need]()

    def of(self, need: Need) -> int:
        """The trials for which there is room when nothing else runs."""
        if time.monotonic() - self._asked > NODES_SECONDS:
            self._asked, self._known = time.monotonic(), machines()
        nodes = (Node(m.get("CPU", 0), int(m.get("GPU", 0))) for m in self._known)
        return sum(node.slots(need["CPU"], need["GPU"]) for node in nodes)
