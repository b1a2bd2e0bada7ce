"""Known holes of what is installed, by pip-audit: a part of `make lint`, in the repository's root.

It fails where a release without the hole exists, only tells where none does yet, and is skipped,
with a line, where nobody answers. Out of a failure leads a newer release, or an entry in
[tool.audit.ignore] of pyproject.toml, which says why not.
"""

import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

# Its hole is PYSEC-2018-28. An index that does not know of it knows of none: many mirrors do not.
CANARY = {"requests": "2.19.1"}
# This project, and what Python itself puts into an environment.
NOT_ASKED_FOR = {"tune-audio", "pip", "setuptools"}
CANARY_SECONDS, ALL_SECONDS, ANSWER_SECONDS = 10, 60, 5
CLEAN = Path(".venv/audited")  # as of its time nothing was found
CLEAN_SECONDS = 24 * 3600


class NotAsked(Exception):
    """Nobody has answered; the message says why."""


class Hole(NamedTuple):
    package: str
    names: list[str]  # of the one hole: PYSEC, GHSA, CVE
    fixed_in: list[str]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "not fixed yet"
        return f"{self.package}: {' '.join(self.names)}, {fixed}"


def installed() -> dict[str, str]:
    """Package to version, without what names a build, as in 2.13.0+cpu: indexes know none."""
    found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
    return {n: v.partition("+")[0] for n, v in sorted(found.items()) if n not in NOT_ASKED_FOR}


def holes(pins: Mapping[str, str], seconds: float) -> Iterator[Hole]:
    """What pip-audit knows of these releases. Raises NotAsked."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pins.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        command = [sys.executable, "-m", "pip_audit", "-r", str(file), "--no-deps", "--disable-pip"]
        command += ["--format=json", "--progress-spinner=off", f"--timeout={ANSWER_SECONDS}"]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise NotAsked(f"no answer within {seconds:g} seconds") from None
    try:
        answers: list[dict[str, Any]] = json.loads(run.stdout)["dependencies"]
    except ValueError:
        raise NotAsked(_reason(run.stderr)) from None
    for answer in answers:
        for hole in answer.get("vulns", ()):
            names = list(dict.fromkeys([hole["id"], *sorted(hole["aliases"])]))
            yield Hole(f"{answer['name']} {answer['version']}", names, hole["fix_versions"])


def _reason(said: str) -> str:
    """Why there is no answer, of all that pip-audit says then: a host, or the last line."""
    hosts = re.findall(r"host='([^']+)'", said)
    lines = [line for line in said.splitlines() if line.strip() and "Tip:" not in line]
    return f"{hosts[-1]} does not answer" if hosts else lines[-1].removeprefix("ERROR:")


def audit(ignored: Mapping[str, str]) -> int:
    """1 where something is to be done. ignored: name of a hole to the reason why."""
    try:
        if not any(holes(CANARY, CANARY_SECONDS)):
            raise NotAsked("the index that answers knows of no holes at all")
        found = list(holes(installed(), ALL_SECONDS))
    except NotAsked as reason:
        print(f"pip-audit: skipped: {reason}")
        return 0
    ours = [hole for hole in found if not ignored.keys() & set(hole.names)]
    for hole in ours:
        print(f"pip-audit: {hole}")
    if any(hole.fixed_in for hole in ours):
        print(
            "pip-audit: install a release without the hole and raise its bound in pyproject.toml, "
            "or say there, in [tool.audit.ignore], why it does not reach us"
        )
        return 1
    CLEAN.parent.mkdir(exist_ok=True)
    CLEAN.touch()
    return 0


def main() -> int:
    project, since = Path("pyproject.toml"), Path(".venv/installed")
    if CLEAN.exists():
        at = CLEAN.stat().st_mtime
        changed = max(file.stat().st_mtime for file in (project, since) if file.exists())
        if at > max(changed, time.time() - CLEAN_SECONDS):
            return 0
    return audit(tomllib.loads(project.read_text())["tool"]["audit"]["ignore"])


if __name__ == "__main__":
    sys.exit(main())
