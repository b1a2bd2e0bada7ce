"""cluster/slurm.sh on this machine, with Slurm's commands played by small scripts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from manifests import CLUSTER

SCRIPT = CLUSTER / "slurm.sh"
BIN = Path(sys.executable).parent

SCONTROL = """#!/bin/bash
[ "$1 $2" = "show hostnames" ] && printf 'n1\\nn2\\n'
"""
# Runs on this machine what would run on the other nodes.
SRUN = """#!/bin/bash
echo "srun $*" >> calls
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
# No Ray: what is asked of it is written down.
RAY = """#!/bin/bash
echo "ray $*" >> calls
case $1 in
    start) exec sleep 60 ;;
    get-auth-token)
        echo "umask $(umask)" >> calls
        mkdir -p ~/.ray && echo secret | tee ~/.ray/auth_token ;;
esac
"""
PYTHON = "#!/bin/bash\necho 10.0.0.1\n"
DRIVER = """#!/bin/bash
until grep -q "start --head" calls && grep -q "start --block" calls; do sleep 0.05; done
echo "driver $* $RAY_ADDRESS $RAY_AUTH_MODE" >> calls
exit "${CODE:-0}"
"""
# Waits for both nodes, says what a worker process inherits, then trains until it is told to stop.
RAY_DRIVER = f"""#!{sys.executable}
import os, sys, time, ray
for setting in ("OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE"):
    del os.environ[setting]
ray.init(logging_level=40, log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < 2:
    time.sleep(0.2)

@ray.remote
def settings():
    return os.environ["OMP_WAIT_POLICY"], os.environ["THP_MEM_ALLOC_ENABLE"]

print("nodes", len(ray.nodes()), "CPUs", int(ray.cluster_resources()["CPU"]), flush=True)
try:
    print("workers have", *ray.get(settings.remote()), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def job(tmp_path: Path):
    """Start the script as a job of two nodes in a folder of its own; commands by name and text."""

    def job(*arguments: str, commands: dict[str, str], **variables: str) -> subprocess.Popen:
        commands = {"scontrol": SCONTROL, "srun": SRUN, **commands}
        (tmp_path / "bin").mkdir()
        for name, text in commands.items():
            (tmp_path / "bin" / name).write_text(text)
            (tmp_path / "bin" / name).chmod(0o755)
        mine = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
        return subprocess.Popen(
            ["bash", str(SCRIPT), *arguments],
            cwd=tmp_path,
            env={
                **mine,
                "HOME": str(tmp_path),
                "PATH": f"{tmp_path / 'bin'}:{BIN}:{os.environ['PATH']}",
                "SLURM_JOB_ID": str(os.getpid()),
                "SLURM_JOB_NODELIST": "n[1-2]",
                "SLURM_CPUS_PER_TASK": "2",
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As Slurm starts it. Tests in the background of a shell are deaf to interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return job


NO_RAY = {"ray": RAY, "python": PYTHON, "tune-audio": DRIVER}


def test_it_is_good_bash():
    assert subprocess.run([BIN / "shellcheck", SCRIPT]).returncode == 0


def test_one_ray_over_all_nodes_that_is_told_before_the_end(job):
    script = job("--space", "own", commands={"tune-audio": RAY_DRIVER})
    assert script.stdout is not None
    said = [script.stdout.readline().strip()]
    while script.poll() is None and not said[-1].startswith("workers have"):
        said.append(script.stdout.readline().strip())
    assert said[-2:] == ["nodes 2 CPUs 4", "workers have passive 1"]
    script.send_signal(signal.SIGTERM)  # --signal=B:TERM@300
    rest, _ = script.communicate(timeout=60)
    assert rest.splitlines() == [
        "Slurm ends this job soon: the search is told to stop",
        f"Exit code 130. Go on with: sbatch cluster/slurm.sh --resume slurm-{os.getpid()}",
    ]
    assert script.returncode == 130
    assert not Path(f"/tmp/ray-{os.getpid()}").exists()


def test_head_workers_token_and_driver(job, tmp_path: Path):
    started = time.monotonic()
    script = job("--space", "own", commands=NO_RAY, CODE="3", SLURM_JOB_ID="123456")
    said, _ = script.communicate(timeout=60)
    assert script.returncode == 3 and "--resume slurm-123456" in said
    assert time.monotonic() - started < 30  # Ray's processes are ended with the driver
    calls = (tmp_path / "calls").read_text()
    assert "ray start --head --block --port=23456 --node-ip-address=10.0.0.1 --num-cpus=2" in calls
    assert "srun --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=2 --exclude=n1" in calls
    assert "ray start --block --address=10.0.0.1:23456 --num-cpus=2" in calls
    assert "driver search --space own --name slurm-123456 10.0.0.1:23456 token" in calls
    assert "umask 0077" in calls  # nobody reads the token before it is closed to others
    token = tmp_path / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().strip() not in said + calls


@pytest.mark.parametrize(
    ("arguments", "again", "expected"),
    [
        (["--space", "own", "--name", "mine"], "0", "search --space own --name mine "),
        (["--space", "own", "--name=mine"], "0", "search --space own --name=mine "),
        (["--resume", "mine"], "0", "search --resume mine "),
        (["--space", "own", "--name", "mine"], "1", "search --resume mine "),
        (["--space", "own", "--name", "other"], "1", "search --space own --name other "),
    ],
)
def test_a_name_of_its_own_and_what_is_queued_again_goes_on(
    job, tmp_path: Path, arguments: list[str], again: str, expected: str
):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "space.yaml").touch()
    script = job(*arguments, commands=NO_RAY, SLURM_RESTART_COUNT=again)
    said, _ = script.communicate(timeout=60)
    assert script.returncode == 0 and said == ""
    assert f"driver {expected}10.0.0.1:" in (tmp_path / "calls").read_text()
