"""A data set's official archives: fetched, checked, and unpacked where nothing else is touched."""

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import pooch
import requests
from filelock import FileLock, Timeout

from tune_audio.data.datasets.damage import told_as
from tune_audio.data.datasets.unzip import unzip
from tune_audio.data.progress import DownloadBar, say
from tune_audio.errors import UserError
from tune_audio.machine.publish import published_folder

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 60


class OtherContent(Exception):
    """What was downloaded has another checksum than the official file."""


def fetch_archive(url: str, checksum: str, folder: Path, name: str) -> Path:
    """`folder / name`, unpacked from the archive at `url`; see `fetch_archives`."""
    return fetch_archives([[(url, checksum)]], folder, name, page=url)


def fetch_archives(
    archives: Sequence[Sequence[tuple[str, str]]], folder: Path, name: str, *, page: str
) -> Path:
    """`folder / name`, unpacked from tar or ZIP archives; at once when it is already there.

    An archive is the (address, checksum) of its parts in order: one, or those of a split ZIP. A
    checksum is a SHA-256, or "md5:" and an MD5. It is checked before anything is opened, members
    that would leave the folder do not, and `folder / name` appears only when it is whole; files
    that were fetched before an interruption are not fetched again, and what else a killed process
    left is removed. One process fetches while others wait for it. Raises UserError, which names
    `page` as the place to download from by hand.
    """
    folder = Path(folder).absolute()
    target, fetched = folder / name, folder / f".{name}.archives"
    if target.is_dir() and not fetched.exists():
        return target
    by_hand = f"Or download {page} yourself, unpack it, and give its folder with --data FOLDER."
    try:
        with _locked(target):
            if not target.is_dir():
                _remove_unfinished(fetched, archives)
                files = [[_download(*part, fetched) for part in parts] for parts in archives]
                _unpack(files, target)
            shutil.rmtree(fetched, ignore_errors=True)
    except OtherContent as error:
        raise UserError(f"{error}: try again. {by_hand}") from error
    except requests.RequestException as error:
        raise UserError(f"cannot download {page}: {_first_line(error)}. {by_hand}") from error
    except (tarfile.TarError, BadZipFile) as error:
        raise UserError(f"cannot unpack {page}: {_first_line(error)}. {by_hand}") from error
    except OSError as error:
        raise UserError(
            f"cannot download {page} to {folder}: {error.strerror or _first_line(error)}. {by_hand}"
        ) from error
    return target


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another process is fetching {target.name}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_unfinished(folder: Path, archives: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Remove what pooch calls something else until it is whole and its checksum is right."""
    finished = {_file_name(url) for parts in archives for url, _ in parts}
    for path in folder.iterdir() if folder.exists() else ():
        if path.name not in finished:
            path.unlink()


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _download(url: str, checksum: str, folder: Path) -> Path:
    file_name = _file_name(url)
    algorithm, colon, digest = checksum.rpartition(":")
    with DownloadBar(file_name) as bar:
        downloader = pooch.HTTPDownloader(
            progressbar=bar, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS
        )
        try:
            path = pooch.retrieve(
                url,
                known_hash=f"{algorithm if colon else 'sha256'}:{digest}",
                fname=file_name,
                path=folder,
                downloader=downloader,
            )
        except requests.RequestException:
            raise
        except ValueError as error:
            # What pooch raises for another checksum; it has deleted the file.
            raise OtherContent(
                f"{url} is not the official archive (checksum {checksum})"
            ) from error
    return Path(path)


def _unpack(archives: Sequence[Sequence[Path]], target: Path) -> None:
    with published_folder(target) as partial:
        for parts in archives:
            if parts[-1].suffix == ".zip":
                unzip(parts, partial)
            else:
                untar(parts[0], partial)


def untar(archive: Path, folder: Path) -> None:
    """Unpack the archive into `folder`, as `unzip` does. Raises tarfile.TarError and OSError."""
    with told_as(tarfile.ReadError, archive.name), tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
