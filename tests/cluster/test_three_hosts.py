"""A search on hosts that share nothing, from `ray up` to `ray down`, and what befalls it."""

import csv
import json
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lab import HOME, Lab, missing
from make_tones import write_tones
from ruamel.yaml import YAML

WHY_NOT = missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

HEAD, LOST, STAYS, JOINS = "host0", "host1", "host2", "host3"  # three at a time
EPOCHS, TRIALS = 24, 8
SPACE = f"""
data: {{name: folder, root: {HOME}/tones, split: [0.6, 0.2, 0.2], clip_seconds: 0.5}}
train: {{epochs: {EPOCHS}, batch_size: 2}}
search: {{sampler: grid, scheduler: none}}
params: {{lr: [3e-3, 1e-3, 3e-4, 1e-4], augment: [none, noise]}}
models:
  family: {{model: lstm_cnn, channels: 64, hidden_size: 64}}
retrain: {{labels: same, repeats: 2}}
"""
RUN = "runs/story"
TRAINING = "ray::(AudioTrial|ResourceTrainable)"  # as Ray calls the processes of trials
RETRAIN = "retrain-same"
# Every epoch that is written down: study, number of the trial, row.
ROWS = f"""
import contextlib, json, sqlite3
with contextlib.suppress(sqlite3.OperationalError):  # not there yet
    database = sqlite3.connect("file:{RUN}/optuna.db?mode=ro", uri=True)
    query = "SELECT study_name, number, value_json FROM trial_user_attributes "
    query += "JOIN trials USING (trial_id) JOIN studies USING (study_id) "
    query += "WHERE key LIKE 'epoch %' ORDER BY study_id, number, key"
    print(json.dumps(database.execute(query).fetchall()))
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab") as lab:
        try:
            yield lab
        finally:
            for log in sorted(lab.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-3000:]}")
        pids = [pid for host in lab.pids for pid in lab.processes(host)]
        assert len(pids) >= len(lab.pids) > 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert str(lab.folder) not in Path("/proc/self/mountinfo").read_text()


class Story:
    """What the test does and sees, told on screen where it fails."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.started = lab, time.monotonic()
        self.head, self.project = lab.files(HEAD), lab.files("laptop") / "tune_audio"

    def tell(self, what: str) -> None:
        print(f"{time.monotonic() - self.started:6.1f} s  {what}")

    def laptop(self, command: str, seconds: float = 180) -> str:
        self.tell(f"$ {command}")
        return self.lab.run("laptop", f"cd tune_audio && {command}", seconds)

    def submit(self, log: str, arguments: str) -> subprocess.Popen[str]:
        command = f"ray submit cluster/onprem.yaml tune_audio/search.py {arguments}"
        self.tell(f"$ {command}")
        command = f"cd tune_audio && {command}"
        return self.lab.popen("laptop", command, self.lab.folder / log)

    def rows(self, study: str = "search") -> dict[str, list[dict[str, Any]]]:
        """The epochs of each trial that are written down."""
        found: dict[str, list[dict[str, Any]]] = {}
        said = self.lab.run(HEAD, f"python -I -c {shlex.quote(ROWS)}")
        for name, number, row in json.loads(said or "[]"):
            if name == f"{study}/family":
                found.setdefault(f"family-{number}", []).append(json.loads(row))
        return found

    def epochs_by_host(self) -> Counter[str]:
        return Counter(row["host"] for rows in self.rows().values() for row in rows)

    def running(self, host: str) -> str | None:
        """A trial in the middle of its epochs there."""
        for key, rows in self.rows().items():
            if rows[-1]["host"] == host and 3 <= len(rows) <= EPOCHS // 2:
                return key
        return None

    def checkpoint(self, key: str) -> list[dict[str, Any]]:
        """The epochs that a trial's checkpoint on the head knows of."""
        file = self.head / RUN / "trials" / key / "checkpoint.pt"
        return torch.load(file, weights_only=True)["epochs"]

    def has_joined(self, hosts: int) -> bool:
        """Whether so many are in the cluster, by what its autoscaler wrote down last."""
        log = "/tmp/ray/session_latest/logs/monitor.log"
        said = self.lab.run(HEAD, f"grep -o '/.* CPU$' {log} | tail -1")
        return said.strip() == f"/{hosts}.0 CPU"


def until(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """What a condition says as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not seen within {seconds:g} s: {what}")


def fill_in(lab: Lab, file: Path) -> None:
    """What a user writes into the file that the project offers; and hosts of a test's size."""
    yaml = YAML()
    cluster = yaml.load(file)
    workers = [lab.address(host) for host in (LOST, STAYS, JOINS)]
    cluster["provider"] |= {"head_ip": lab.address(HEAD), "worker_ips": workers}
    cluster["auth"] |= {"ssh_user": "root", "ssh_private_key": "~/.ssh/id"}
    small = "ray start --num-cpus=1 --object-store-memory=200000000 "
    for of in ("head", "worker"):
        commands = cluster[f"{of}_start_ray_commands"]
        commands[:] = [command.replace("ray start ", small) for command in commands]
    yaml.dump(cluster, file)


def test_a_search_outlives_a_host_and_its_driver(lab: Lab):
    story = Story(lab)
    fill_in(lab, story.project / "cluster" / "onprem.yaml")
    (story.project / "search_spaces" / "story.yaml").write_text(SPACE)
    write_tones(lab.files("laptop") / "tones")
    story.laptop("ray up -y cluster/onprem.yaml")
    story.laptop("ray rsync-up cluster/onprem.yaml ~/tones/ '~/tones/'")
    until(lambda: story.has_joined(3), "three hosts in the cluster")
    story.tell("three hosts are there, the fourth is not switched on")
    address = f"{lab.address(HEAD)}:6379"
    stranger = lab.popen("laptop", f"RAY_AUTH_MODE=disabled ray start --address={address}")

    # A host is lost in the middle of a trial; another one takes its place.
    search = story.submit("search.log", "--space story --name story")
    three = {HEAD, LOST, STAYS}
    lost = until(
        lambda: three == set(story.epochs_by_host()) and story.running(LOST),
        f"a trial on {LOST}, and epochs on the others",
    )
    reported, saved = story.rows()[lost], story.checkpoint(lost)
    lab.kill(LOST)
    time.sleep(1)  # what it had said is heard
    assert len(saved) >= len(reported) - 2  # one on its way, one that did not wait for it
    reported = story.rows()[lost]
    story.tell(f"{LOST} is lost with {lost} after epoch {len(reported)}; {JOINS} is switched on")
    # How long it takes to join is not to matter: the others stand still. The head does so until the
    # lost trial has gone on, which therefore needs its checkpoint on a host that never had it.
    for host in (HEAD, STAYS):
        lab.signal(host, TRAINING, signal.SIGSTOP)
    lab.start(JOINS)
    until(lambda: JOINS in story.epochs_by_host(), f"an epoch on {JOINS}")
    story.tell(f"{JOINS} works")
    lab.signal(STAYS, TRAINING, signal.SIGCONT)
    until(lambda: len(story.rows()[lost]) > len(reported), f"{lost} going on")
    assert story.checkpoint(lost)[: len(saved)] == saved  # nothing was trained again
    story.tell(f"{lost} goes on on {story.rows()[lost][-1]['host']}")
    assert story.rows()[lost][-1]["host"] in (STAYS, JOINS)
    lab.signal(HEAD, TRAINING, signal.SIGCONT)

    # The driver is killed and started again.
    lab.signal(HEAD, r"search\.py", signal.SIGKILL)
    assert search.wait(60) != 0
    known = story.rows()
    done = sum(map(len, known.values()))
    story.tell(f"the driver is killed after {done} of {TRIALS * EPOCHS} epochs")
    assert done < TRIALS * EPOCHS
    assert story.submit("resumed.log", "--resume latest").wait(300) == 0
    rows = story.rows()
    assert {key: rows[key][: len(known[key])] for key in known} == known
    assert [len(trial) for trial in rows.values()] == [EPOCHS] * TRIALS
    worked = story.epochs_by_host()
    story.tell(f"resumed and done; epochs by host: {dict(worked)}")
    assert set(worked) == {*three, JOINS}
    with open(story.head / RUN / "leaderboard.csv") as file:
        board = list(csv.DictReader(file))
    assert {row["trial"]: row["state"] for row in board} == dict.fromkeys(rows, "complete")
    assert len({(row["lr"], row["augment"]) for row in board}) == TRIALS
    left = {path.name for path in (story.head / RUN / "trials").rglob("*") if path.is_file()}
    assert left == {"predictions.npz"}

    # What was found comes home: a model that was trained on another host than the driver's.
    retrained = {key: rows[-1]["host"] for key, rows in story.rows(RETRAIN).items()}
    story.tell(f"retrained: {retrained}")
    best = next(key for key, host in retrained.items() if host != HEAD)
    story.laptop("ray rsync-down cluster/onprem.yaml '~/runs/' ~/from_head/")
    model = f"~/from_head/story/{RETRAIN}/{best}/model"
    said = story.laptop(f"python -m tune_audio.predict {model} ~/tones/high")
    assert said.count("wav,high,") > said.count("wav,") // 2 > 0
    refused, _ = stranger.communicate(timeout=60)
    assert stranger.returncode != 0 and "InvalidAuthToken" in refused
    story.laptop("ray down -y cluster/onprem.yaml")
    assert not any("gcs_server" in line for line in lab.processes(HEAD).values())
    story.tell("down")


def test_a_lab_ends_with_the_process_that_made_it(tmp_path: Path):
    code = (
        "import sys, time; from pathlib import Path; sys.path.append(sys.argv[1])\n"
        "from lab import Lab\n"
        "with Lab(Path(sys.argv[2]), hosts=1) as lab:\n"
        "    print(*lab.pids.values(), flush=True); time.sleep(600)"
    )
    helpers = str(Path(__file__).parents[1] / "helpers")
    command = [sys.executable, "-c", code, helpers, str(tmp_path / "lab")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    pids = process.stdout.readline().split()
    assert len(pids) == 2 and all(Path(f"/proc/{pid}").exists() for pid in pids)
    process.kill()
    process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the end of the hosts", 5)
