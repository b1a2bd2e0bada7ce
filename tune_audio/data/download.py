"""A data set's official archives: fetched, checked, and unpacked where nothing else is touched."""

import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import pooch
import requests

from tune_audio.data.progress import DownloadBar
from tune_audio.data.unzip import unzip
from tune_audio.errors import UserError

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
    that were fetched before an interruption are not fetched again. Raises UserError, which names
    `page` as the place to download from by hand.
    """
    folder = Path(folder).absolute()
    target = folder / name
    if target.is_dir():
        return target
    by_hand = f"Or download {page} yourself, unpack it, and give its folder with --data FOLDER."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [[_download(*part, folder) for part in parts] for parts in archives]
        _unpack(files, target)
        for path in (path for parts in files for path in parts):
            path.unlink()
    except OtherContent as error:
        raise UserError(f"{error}: try again. {by_hand}") from error
    except requests.RequestException as error:
        raise UserError(f"cannot download {page}: {_first_line(error)}. {by_hand}") from error
    except (tarfile.TarError, BadZipFile, EOFError) as error:
        raise UserError(f"cannot unpack {page}: {_first_line(error)}. {by_hand}") from error
    except OSError as error:
        raise UserError(
            f"cannot download {page} to {folder}: {error.strerror or _first_line(error)}. {by_hand}"
        ) from error
    return target


def _download(url: str, checksum: str, folder: Path) -> Path:
    file_name = url.rsplit("/", 1)[-1]
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
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for parts in archives:
            if parts[-1].suffix == ".zip":
                unzip(parts, partial)
            else:
                with tarfile.open(parts[0]) as tar:
                    tar.extractall(partial, filter="data")
        # mkdtemp's folder is for its owner alone; a data set may be read by all.
        partial.chmod(0o755)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
