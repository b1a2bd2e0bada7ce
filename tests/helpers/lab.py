"""Hosts that share nothing, made of Linux namespaces: a laptop, and machines of a cluster.

Each has its own network interface, processes, root file system, /tmp, home and sshd. The machine's
files lie below, read only, so that its Python is there; what a host writes is gone with it. All
live in one outer set of namespaces whose first process reads a pipe from the process that made the
lab: it ends when that process ends, however it ends, and everything goes with it.
"""

import importlib.metadata
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

PROJECT = Path(__file__).parents[2]
HOME = "/home/lab"
NETWORK = "10.77.0"
KINDS = ("--mount", "--net", "--pid", "--uts", "--ipc")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
HOST = Path(__file__).with_name("lab_host.sh")
IP = shutil.which("ip", path=PATH) or ""
START_SECONDS = 20


def missing() -> str:
    """Why there can be no lab on this machine; empty where there can be."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts are made by root, on Linux"
    tools = ("unshare", "nsenter", "ip", "make", "ssh", "ssh-keygen", "sshd", "rsync")
    if lacking := [tool for tool in tools if not shutil.which(tool, path=PATH)]:
        return f"hosts need what is not installed here: {', '.join(lacking)}"
    try_out = (
        "mount -t tmpfs x /tmp && mkdir /tmp/up /tmp/work /tmp/all && mount -t overlay "
        "-o lowerdir=/,upperdir=/tmp/up,workdir=/tmp/work x /tmp/all"
    )
    command = ["unshare", *KINDS, "--fork", "--mount-proc", "sh", "-c", try_out]
    tried = subprocess.run(command, capture_output=True, text=True)
    return f"no hosts can be made here: {tried.stderr.strip()}" if tried.returncode else ""


class Lab:
    """A laptop and `hosts` machines called host0, host1, ...; to be used with `with`.

    folder: an empty one of the machine for keys and logs.
    """

    def __init__(self, folder: Path, hosts: int = 3) -> None:
        self.folder, self.hosts = folder, hosts
        self.pids: dict[str, int] = {}  # of each host's first process
        self._entered: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> "Lab":
        (self.folder / "root").mkdir(parents=True)
        for key in ("id", "hostkey"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key]
            subprocess.run(command, check=True)
        token = self.folder / "auth_token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        command = ["unshare", *KINDS, "--fork", "--mount-proc", "--propagation", "private", "cat"]
        self._outer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            self.pid = _child(self._outer.pid)
            self._ip("link add bridge type bridge")
            self._ip("link set bridge up")
            names = ["laptop", *(f"host{number}" for number in range(self.hosts))]
            for name in names:
                self.start(name)
            for name in names:
                self._wait(name)
            self._check_out()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._outer.stdin
        self._outer.stdin.close()
        self._outer.wait(START_SECONDS)
        for entered in self._entered.values():
            entered.wait(START_SECONDS)

    def address(self, name: str) -> str:
        number = 100 if name == "laptop" else 10 + int(name.removeprefix("host"))
        return f"{NETWORK}.{number}"

    def start(self, name: str) -> None:
        """A blank host of that name joins the network; `run` waits until it can be used."""
        place = [self.folder, HOME, PROJECT, sys.prefix, sysconfig.get_path("purelib")]
        arguments = [name, self.address(name), *place, *_paths()]
        inside = ["unshare", *KINDS, "--fork", "--propagation", "private", "bash", HOST, *arguments]
        with open(self.folder / f"{name}.sshd", "w") as log:
            self._entered[name] = subprocess.Popen(
                ["nsenter", f"--target={self.pid}", *KINDS, *inside],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.pids[name] = _child(_child(self._entered[name].pid))
        self._ip(f"link add {name} type veth peer name eth0 netns {self.pids[name]}")
        self._ip(f"link set {name} master bridge up")

    def kill(self, name: str) -> None:
        """A host is gone at once: its cable first, so that nobody hears a farewell."""
        self._ip(f"link del {name}")
        os.kill(self.pids.pop(name), 9)
        self._entered.pop(name).wait(START_SECONDS)

    def signal(self, name: str, pattern: str, number: int) -> None:
        """Send a signal to the processes of a host whose command lines a pattern is found in."""
        for pid, line in self.processes(name).items():
            if re.search(pattern, line):
                os.kill(pid, number)

    def popen(self, name: str, command: str, output: Path | None = None) -> subprocess.Popen[str]:
        """Start a command on a host, in its home; its output goes to a file of the machine."""
        environment = [f"HOME={HOME}", "USER=root", "LANG=C.UTF-8", "TERM=dumb", "COLUMNS=100"]
        path = f"PATH={HOME}/tune_audio/.venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        enter = ["nsenter", f"--target={self.pids[name]}", *KINDS, "env", "-i", *environment, path]
        with open(output, "w") if output else nullcontext() as file:
            return subprocess.Popen(
                [*enter, "bash", "-c", f"cd ~ && {command}"],
                stdin=subprocess.DEVNULL,
                stdout=file or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def run(self, name: str, command: str, timeout: float = 60) -> str:
        """What a command on a host says. Raises AssertionError with it where that failed."""
        self._wait(name)
        process = self.popen(name, f"timeout -k 5 {timeout:g} bash -c {shlex.quote(command)}")
        output, _ = process.communicate(timeout=timeout + 10)
        assert process.returncode == 0, (
            f"{name}: {command}: exit code {process.returncode}\n{output}"
        )
        return output

    def files(self, name: str) -> Path:
        """A host's home as the machine sees it; links in it must not be absolute."""
        return Path(f"/proc/{self.pids[name]}/root{HOME}")

    def processes(self, name: str) -> dict[int, str]:
        """Command lines of a host's processes, by the machine's process ids."""
        space, found = os.readlink(f"/proc/{self.pids[name]}/ns/pid"), {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                if os.readlink(folder / "ns" / "pid") == space:
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = line.decode(errors="replace").strip()
        return found

    def _check_out(self) -> None:
        """The project on the laptop, where hosts cannot see the machine's."""
        ignored = (PROJECT / ".gitignore").read_text().replace("/", "").split()
        leave_out = [f"--exclude={name}" for name in (".git", *ignored)]
        pack = ["tar", "-c", *leave_out, "."]
        packed = subprocess.Popen(pack, cwd=PROJECT, stdout=subprocess.PIPE)
        enter = ["nsenter", f"--target={self.pids['laptop']}", "--mount"]
        unpack = ["tar", "-x", "-C", f"{HOME}/tune_audio"]
        subprocess.run([*enter, *unpack], stdin=packed.stdout, check=True)
        assert packed.wait() == 0

    def _ip(self, arguments: str) -> None:
        command = ["nsenter", f"--target={self.pid}", "--net", IP, *arguments.split()]
        subprocess.run(command, check=True, capture_output=True)

    def _wait(self, name: str) -> None:
        """Until the host's sshd listens, which is the last thing that it does."""
        log = self.folder / f"{name}.sshd"
        for _ in _seconds(f"{name} does not start", log):
            assert self._entered[name].poll() is None, log.read_text()
            if "Server listening" in log.read_text():
                return


def _paths() -> Iterator[str]:
    """Files of the environment by which an editable install finds the checkout."""
    with suppress(importlib.metadata.PackageNotFoundError):
        distribution = importlib.metadata.distribution("tune-audio")
        for file in distribution.files or []:
            if file.suffix == ".pth":
                yield str(distribution.locate_file(file))


def _child(pid: int) -> int:
    """The one child of a process, waited for."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for _ in _seconds(f"process {pid} has no child"):
        if found := children.read_text().split():
            return int(found[0])
    raise AssertionError


def _seconds(complaint: str, log: Path | None = None) -> Iterator[None]:
    """Tries until START_SECONDS are over."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.02)
    raise AssertionError(f"{complaint}: {log.read_text() if log else ''}")
