"""Where a trial finds what it needs, and leaves what it makes: on the driver's host or another.

A host that sees the driver's folders itself, because it is the driver's or because storage is
shared, goes straight to the disk (`Here`). On any other what is needed is brought into that host's
own cache, once for all of its trials, and what a trial makes is sent back (`Elsewhere`).
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from tune_audio.features.store import FeatureStore
from tune_audio.machine.cached import entries, in_use, make_room, most_bytes
from tune_audio.machine.folders import cache_folder
from tune_audio.machine.publish import published_folder
from tune_audio.training.kept import FILE as PREDICTIONS
from tune_audio.tuning.files import Sending, Served, state_of

# What a trial's checkpoints may take of the network on average: a head's travels every epoch, a
# whole AST's with Adam (1 GB) about once a minute.
CHECKPOINT_BYTES_PER_SECOND = 16e6


class Here:
    """A host that sees the driver's folders: nothing has to travel."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job

    def corpus(self) -> Path:
        """The folder of the corpus on this host."""
        return Path(self.job["corpus"])

    def store(self) -> FeatureStore:
        """The store of features that all trials of this host share."""
        return FeatureStore(Path(self.job["features"]), self.job["feature_bytes"])

    def brought(self, model_params: dict[str, Any]) -> dict[str, Any]:
        """A model's arguments, a folder of weights as it is found on this host."""
        return model_params

    def enter(self, folder: str) -> Path:
        """Where a trial whose place is `folder` keeps its files on this host, with those it has."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def saved(self, checkpoint: Path) -> None:
        """A new version of a trial's checkpoint is on this host's disk."""

    def finished(self) -> None:
        """All that a trial leaves is on this host's disk; on the driver's once this returns."""

    def keep(self, file: Path) -> None:
        """A file that the driver's host is to have before the trial is told to have ended."""

    def leave(self) -> None:
        """This host is done with the trial that has entered."""


class Elsewhere:
    """A host that does not see the driver's folders. For its methods see `Here`."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job: dict[str, Any] = job
        self.served: Served = job["served"]
        self.cache = cache_folder()
        self._uses = contextlib.ExitStack()  # until this process ends
        self._home: str | None = None
        self._scratch: Path | None = None
        self._sending: Sending | None = None
        self._next_send = 0.0

    def corpus(self) -> Path:
        theirs = Path(self.job["corpus"])
        if (theirs / "corpus.json").exists():  # the cache is shared, if the run is not
            return theirs
        mine = self.cache / "corpora" / theirs.name
        mine.parent.mkdir(parents=True, exist_ok=True)
        self._uses.enter_context(in_use(mine))
        if self._bring(str(theirs), mine):
            most = most_bytes("corpora", self.job["cache_gb"], self.cache)
            make_room(entries(self.cache, ["corpora"]), most)
        os.utime(mine)  # when it was last used
        return mine

    def store(self) -> FeatureStore:
        if (Path(self.job["corpus"]) / "corpus.json").exists():
            return Here(self.job).store()
        most = most_bytes("features", self.job["cache_gb"], self.cache)
        return FeatureStore(self.cache / "features", most)

    def brought(self, model_params: dict[str, Any]) -> dict[str, Any]:
        checkpoint = str(model_params.get("checkpoint"))
        if checkpoint not in self.job["pretrained"]:
            return model_params  # it has none, or the hub's
        return {**model_params, "checkpoint": self._weights(checkpoint)}

    def _weights(self, checkpoint: str) -> str:
        listing = self.served.listing(checkpoint)
        found = {name: Path(checkpoint, name) for name in listing}
        if all(path.is_file() and state_of(path) == listing[name] for name, path in found.items()):
            return checkpoint  # this folder is shared, if the run is not
        name = hashlib.blake2b(f"{checkpoint} {listing}".encode(), digest_size=16).hexdigest()
        mine = self.cache / "pretrained" / name
        mine.parent.mkdir(parents=True, exist_ok=True)
        self._bring(checkpoint, mine)
        os.utime(mine)
        return str(mine)

    def enter(self, folder: str) -> Path:
        # Tune gives a trial a working directory among what Ray itself leaves behind.
        scratch = tempfile.mkdtemp(prefix="tune_audio-", dir=Path.cwd())
        self._home, self._scratch = folder, Path(scratch)
        for name, (size, _) in self.served.listing(folder).items():
            if not name.startswith("."):
                self.served.fetch(f"{folder}/{name}", size, self._scratch / name)
        return self._scratch

    def saved(self, checkpoint: Path) -> None:
        if self._sending is not None and not self._sending.ended():
            return  # training does not wait for the network: the next one goes
        if time.monotonic() >= self._next_send:
            size = checkpoint.stat().st_size
            self._next_send = time.monotonic() + size / CHECKPOINT_BYTES_PER_SECOND
            self._sending = Sending(self.served, checkpoint, f"{self._home}/{checkpoint.name}")

    def finished(self) -> None:
        assert self._scratch is not None
        self._stop_sending()
        for path in sorted(self._scratch.rglob("*")):
            self._send(path)

    def _send(self, path: Path) -> None:
        assert self._scratch is not None
        if path.is_file():
            target = f"{self._home}/{path.relative_to(self._scratch)}"
            with open(path, "rb") as stream:
                for _ in self.served.send(stream, target):
                    pass

    def keep(self, file: Path) -> None:
        self._send(file)

    def leave(self) -> None:
        self._stop_sending()
        if self._scratch is not None:
            with contextlib.suppress(OSError):  # the search has ended meanwhile
                self._send(self._scratch / PREDICTIONS)  # of a trial that was stopped
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._home = self._scratch = None
        self._next_send = 0.0

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.stop()
            self._sending = None

    def _bring(self, theirs: str, mine: Path) -> bool:
        """A folder of the driver's host in this host's cache; False if it was there already."""
        with FileLock(mine.with_suffix(".lock")):
            if mine.is_dir():
                return False
            with published_folder(mine) as partial:
                for name, (size, _) in self.served.listing(theirs).items():
                    self.served.fetch(f"{theirs}/{name}", size, partial / name)
        return True


Home = Here | Elsewhere


def find_home(job: dict[str, Any]) -> Home:
    """How this host reaches the driver's folders."""
    served: Served | None = job["served"]
    return Here(job) if served is None or served.seen_from_here() else Elsewhere(job)
