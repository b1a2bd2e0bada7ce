"""A data set's official archive: fetched, checked, and unpacked where nothing else is touched."""

import shutil
import tarfile
import tempfile
from pathlib import Path

import pooch
import requests

from tune_audio.data.progress import DownloadBar
from tune_audio.errors import UserError

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 60


def fetch_archive(url: str, sha256: str, folder: Path, name: str) -> Path:
    """`folder / name`, unpacked from the tar archive at `url`; at once when it is already there.

    The archive's SHA-256 is checked before it is opened, members that would leave the folder are
    refused, and `folder / name` appears only when it is whole. Raises UserError.
    """
    folder = Path(folder).absolute()
    target = folder / name
    if target.is_dir():
        return target
    by_hand = f"Or download {url} yourself, unpack it, and give its folder with --data FOLDER."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        archive = _download(url, sha256, folder)
        _unpack(archive, target)
        archive.unlink()
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {_first_line(error)}. {by_hand}") from error
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"cannot unpack {url}: {_first_line(error)}. {by_hand}") from error
    except OSError as error:
        raise UserError(
            f"cannot download {url} to {folder}: {error.strerror or _first_line(error)}. {by_hand}"
        ) from error
    except ValueError as error:
        # What pooch raises for another checksum; it has deleted the file.
        raise UserError(
            f"{url} is not the official archive (SHA-256 {sha256}): try again. {by_hand}"
        ) from error
    return target


def _download(url: str, sha256: str, folder: Path) -> Path:
    file_name = url.rsplit("/", 1)[-1]
    with DownloadBar(file_name) as bar:
        downloader = pooch.HTTPDownloader(
            progressbar=bar, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS
        )
        return Path(
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                fname=file_name,
                path=folder,
                downloader=downloader,
            )
        )


def _unpack(archive: Path, target: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
        # mkdtemp's folder is for its owner alone; a data set may be read by all.
        partial.chmod(0o755)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
