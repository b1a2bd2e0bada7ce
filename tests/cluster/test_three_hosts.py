"""A search on hosts that share nothing, from `ray up` to `ray down`, and what befalls it."""

import csv
import os
import signal
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lab import HOME, PROJECT, Lab, missing
from ruamel.yaml import YAML

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

CLUSTER = PROJECT / "tests" / "cluster" / "onprem.yaml"
HEAD, LOST, STAYS, JOINS = "host0", "host1", "host2", "host3"
EPOCHS = 40
SPACE = f"""
data: {{name: folder, root: {HOME}/tones, split: [0.6, 0.2, 0.2], clip_seconds: 0.5}}
train: {{epochs: {EPOCHS}, batch_size: 4}}
search: {{sampler: grid, scheduler: none}}
params: {{lr: [1e-2, 1e-3, 1e-4], augment: [none, noise]}}
models:
  family: {{model: lstm_cnn, channels: 64, hidden_size: 256}}
retrain: {{labels: same}}
"""
TRIALS = 6
RUN = "runs/story"
# A host's share of this machine; and that a host is dead is noticed in seconds, not in a minute.
START = "--num-cpus=1 --object-store-memory=200000000"
QUICK = (
    "RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000 "
    "RAY_health_check_failure_threshold=3"
)
COUNT = f"""
import contextlib, sqlite3
with contextlib.suppress(sqlite3.OperationalError):  # not there yet
    database = sqlite3.connect("file:{RUN}/optuna.db?mode=ro", uri=True)
    rows = database.execute('''SELECT study_name, number, count(*) FROM trial_intermediate_values
        JOIN trials USING (trial_id) JOIN studies USING (study_id)
        WHERE study_name LIKE 'search/%' GROUP BY trial_id''').fetchall()
    for row in rows:
        print(*row)
"""
TONES = (
    "PYTHONPATH=tune_audio/tests/helpers python -c "
    "'from make_tones import Path, write_tones; write_tones(Path(\"tones\"), {clips})'"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), hosts=3) as lab:
        yield lab
        for log in sorted(lab.folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-3000:]}")
        pids = [pid for host in lab.pids for pid in lab.processes(host)]
        assert len(pids) >= len(lab.pids)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert str(lab.folder) not in Path("/proc/self/mountinfo").read_text()


def cluster_file(lab: Lab) -> str:
    """The file that the project offers, with what a user writes into it."""
    yaml = YAML()
    given = yaml.load(CLUSTER)
    workers = [lab.address(host) for host in (LOST, STAYS, JOINS)]
    given["provider"] |= {"head_ip": lab.address(HEAD), "worker_ips": workers}
    given |= {"min_workers": len(workers), "max_workers": len(workers)}
    given["auth"] |= {"ssh_user": "root", "ssh_private_key": "~/.ssh/id"}
    for of in ("head", "worker"):
        commands = given[f"{of}_start_ray_commands"]
        commands[:] = [c.replace("ray start ", f"ray start {START} ") for c in commands]
    commands = given["head_start_ray_commands"]
    commands[:] = [f"export {QUICK}; {command}" for command in commands]
    yaml.dump(given, lab.folder / "onprem.yaml")
    return (lab.folder / "onprem.yaml").read_text()


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What a condition says as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not seen within {seconds:g} s: {what}")


class Story:
    """The steps of the test, on screen where one fails."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.started = lab, time.monotonic()
        self.head = lab.files(HEAD)

    def tell(self, what: str) -> None:
        print(f"{time.monotonic() - self.started:6.1f} s  {what}")

    def laptop(self, command: str, timeout: float = 60) -> str:
        self.tell(f"$ {command}")
        return self.lab.run("laptop", f"cd tune_audio && {command}", timeout)

    def submit(self, name: str, arguments: str) -> subprocess.Popen[str]:
        command = f"ray submit onprem.yaml tune_audio/search.py {arguments}"
        self.tell(f"$ {command}")
        log = self.lab.folder / f"{name}.log"
        return self.lab.popen("laptop", f"cd tune_audio && {command}", log)

    def wait(self, submitted: subprocess.Popen[str], name: str, seconds: float = 120) -> str:
        try:
            code = submitted.wait(seconds)
        finally:
            said = (self.lab.folder / f"{name}.log").read_text()
            self.tell(f"{name}: {said[-3000:]}")
        assert code == 0
        return said

    def cpus(self) -> str:
        """Of the whole cluster, by what its autoscaler last wrote down."""
        log = "/tmp/ray/session_latest/logs/monitor.log"
        return self.lab.run(HEAD, f"grep -o '/.* CPU$' {log} | tail -1").strip()

    def busy(self) -> set[str]:
        """Hosts on which trials run now."""
        return {
            host
            for host in self.lab.pids
            if any(
                "ray::AudioTrial" in line or "Trainable.train" in line
                for line in self.lab.processes(host).values()
            )
        }

    def has_ray(self, host: str) -> bool:
        return any("raylet" in line for line in self.lab.processes(host).values())

    def epochs(self) -> dict[str, int]:
        """How many epochs of each trial of the search are written down."""
        said = self.lab.run(HEAD, f"python -I -c {shlex.quote(COUNT)}").splitlines()
        rows = (row.split() for row in said)
        return {f"{study.removeprefix('search/')}-{n}": int(count) for study, n, count in rows}

    def checkpoints(self) -> dict[str, list[dict[str, Any]]]:
        """The epochs that each trial's checkpoint on the head knows of."""
        files = (self.head / RUN / "trials").glob("*/checkpoint.pt")
        return {f.parent.name: torch.load(f, weights_only=True)["epochs"] for f in files}


def test_a_search_outlives_a_host_and_its_driver(lab):
    story = Story(lab)
    (lab.files("laptop") / "tune_audio" / "onprem.yaml").write_text(cluster_file(lab))
    (lab.files("laptop") / "tune_audio" / "space.yaml").write_text(SPACE)
    story.laptop("RAY_UP_enable_autoscaler_v2=0 ray up -y onprem.yaml", 120)
    lab.run(HEAD, TONES.format(clips=40))
    until(lambda: story.cpus() == "/3.0 CPU", "three hosts in the cluster", 120)
    story.tell("three hosts are there")
    address = f"{lab.address(HEAD)}:6379"
    stranger = lab.popen("laptop", f"RAY_AUTH_MODE=disabled ray start --address={address}")

    search = story.submit("search", "--space tune_audio/space.yaml --name story")
    until(lambda: len(story.busy()) == 3, "trials on three hosts", 90)
    story.tell("trials run on three hosts")
    until(lambda: len([n for n in story.epochs().values() if n > 2]) >= 3, "epochs of three trials")
    reported, before = story.epochs(), story.checkpoints()
    lab.kill(LOST)
    story.tell(f"{LOST} is lost, {JOINS} is switched on; epochs: {reported}")
    lab.start(JOINS)
    known = story.epochs()
    until(
        lambda: all(n > known[key] for key, n in story.epochs().items() if key in known),
        "all go on",
        90,
    )
    after = story.checkpoints()
    story.tell(f"all trials go on: {story.epochs()}")
    for key, rows in before.items():
        assert len(rows) >= reported[key] - 1
        assert after.get(key, rows)[: len(rows)] == rows  # none was run again
    assert set(before) & set(after)

    for pid, line in lab.processes(HEAD).items():
        if "search.py" in line:
            os.kill(pid, signal.SIGKILL)
    assert search.wait(60) != 0
    story.tell(f"the driver is killed: {story.epochs()}")
    known = story.epochs()
    assert sum(known.values()) < TRIALS * EPOCHS
    until(lambda: story.cpus() == "/3.0 CPU" and story.has_ray(JOINS), f"{JOINS} in the cluster")
    story.tell(f"{JOINS} has joined")
    resumed, worked = story.submit("resumed", "--resume latest"), set()
    until(lambda: worked.update(story.busy()) or resumed.poll() is not None, "the end", 180)
    story.wait(resumed, "resumed")
    assert JOINS in worked and len(worked) > 1

    run = story.head / RUN
    with open(run / "leaderboard.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["state"] for row in rows} == {"complete"}
    assert {int(row["epochs_run"]) for row in rows} == {EPOCHS}
    assert len({(row["lr"], row["augment"]) for row in rows}) == len(rows) == TRIALS
    assert set(known) <= {row["trial"] for row in rows}
    assert (run / "retrain-same" / "family-0" / "model").is_dir()
    assert not (run / "trials").exists()

    story.laptop("ray rsync-down onprem.yaml '~/runs/' ~/from_head/")
    lab.run("laptop", TONES.format(clips=1))
    model = "~/from_head/story/retrain-same/family-0/model"
    said = story.laptop(f"python -m tune_audio.predict {model} ~/tones/high")
    assert "high" in said
    story.tell(said)
    refused = stranger.communicate(timeout=60)[0]
    assert stranger.returncode != 0 and "InvalidAuthToken" in refused
    story.laptop("ray down -y onprem.yaml", 120)
    assert not story.has_ray(HEAD)
    story.tell("down")


def test_a_lab_ends_with_the_process_that_made_it(tmp_path):
    code = (
        "import time; from pathlib import Path; from lab import Lab\n"
        f"with Lab(Path({str(tmp_path / 'lab')!r}), hosts=1) as lab:\n"
        "    print(*lab.pids.values(), flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True
    )
    pids = process.stdout.readline().split()
    assert len(pids) == 2 and all(Path(f"/proc/{pid}").exists() for pid in pids)
    process.kill()
    process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the end of the hosts", 5)
