"""A corpus of a data set: found in the cache, or decoded into it."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, TypeVar
from zipfile import BadZipFile

import numpy as np
from annotated_types import Ge, Gt, Le
from filelock import FileLock, Timeout

from tune_audio.data import DATASETS
from tune_audio.data.clips import Decoding, Listing, Peak
from tune_audio.data.content import content_key, describe, recordings, status_of
from tune_audio.data.corpus import Corpus
from tune_audio.data.corrections import corrected
from tune_audio.data.decode import write_corpus
from tune_audio.data.duplicates.found import Duplicates, search
from tune_audio.data.duplicates.sides import among, join
from tune_audio.data.progress import say, tracking
from tune_audio.data.selection import Selection, check_coverage, select_clips
from tune_audio.data.split import SplitBy
from tune_audio.data.windows import check_windows
from tune_audio.errors import UserError
from tune_audio.machine.cached import entries, make_room
from tune_audio.machine.publish import publish_text, published_folder

SHOWN_BAD_FILES = 3
SampleRate = Annotated[int, Ge(4_000), Le(192_000)]
Value = TypeVar("Value")


def load_corpus(
    name: str,
    root: Path,
    *,
    labels: list[str] | Literal["all"] = "all",
    clips_per_label: Annotated[int, Ge(1)] | None = None,
    split: Literal["official", "auto"] | tuple[float, float, float] = "official",
    split_by: SplitBy | Literal["auto"] = "label",
    clip_seconds: Annotated[float, Gt(0), Le(60)] | Literal["auto"] = 1.0,
    sample_rate: SampleRate | Literal["auto"] = 16_000,
    peak: Peak = "keep",
    duplicates: Literal["apart", "tell", "ignore"] = "ignore",
    corrections: str | None = None,
    max_bad_share: Annotated[float, Ge(0), Le(1)] = 0.05,
    seed: int = 0,
    cache: Path,
    progress: bool = False,
    most_bytes: int | None = None,
    **dataset_options: Any,
) -> Corpus:
    """The corpus of data set `name` in folder `root`, from the cache or decoded into it.

    `duplicates` are recordings that are equal, copies, or cut from one another, found by what is in
    them: kept "apart", which is on one side of every split (`one_side` says how where the data are
    split already); only told; or not looked for, as it was before they could be, so that a run of
    then has its corpus still. `corrections` is a CSV of recordings that are dropped or have another
    label (see `corrections.py`); the corpus is another only where it changes something.

    The rest of the data set's options go to its listing function. One process decodes while others
    wait for it. Where the cache then has more than `most_bytes` of corpora, those that were not
    used for the longest time go.

    Raises UserError for a wrong choice, "auto" among them, which is for `assume` to decide; for a
    folder that does not fit, more than `max_bad_share` of unreadable recordings, and files that
    change while they are read.
    """
    parts: Literal["official"] | tuple[float, float, float] = _decided("split", split)
    parted_by: SplitBy = _decided("split_by", split_by)
    seconds, rate = _decided("clip_seconds", clip_seconds), _decided("sample_rate", sample_rate)
    root = Path(root).absolute()
    listing = list_clips(name, root, **dataset_options)
    check_windows(listing, seconds)
    folder = Path(cache).absolute()
    pairs = None
    try:
        if duplicates != "ignore":
            pairs = search(listing, root, folder, usable_cpus(), progress)
        if corrections is not None:
            listing = corrected(listing, root, corrections)
            pairs = None if pairs is None else among(listing, root, pairs)
        if pairs and duplicates == "apart":
            listing = join(listing, root, pairs)
        selection = select_clips(
            listing,
            root,
            labels=labels,
            clips_per_label=clips_per_label,
            split=parts,
            split_by=parted_by,
            seed=seed,
        )
        corpus = _find_or_build(selection, Decoding(seconds, rate, peak), folder, progress)
        os.utime(corpus.folder)  # when it was last used
    except OSError as error:
        raise UserError(
            f"cache folder {cache}: {error.strerror or error}. "
            "Make room there, or set TUNE_AUDIO_CACHE to another folder."
        ) from error
    if most_bytes is not None:
        corpora = entries(Path(cache), ["corpora"])
        others = [entry for entry in corpora if entry.path != corpus.folder]
        make_room(others, most_bytes - corpus.samples.nbytes)
    _check_bad_share(corpus.skipped, len(recordings(selection)), max_bad_share)
    train = corpus.targets[corpus.rows("train")]
    columns = np.flatnonzero(train.any(axis=0)) if corpus.multi_label else np.unique(train)
    check_coverage(corpus.labels, {corpus.labels[column] for column in columns}, corpus.split)
    if pairs is not None:
        corpus.duplicates = Duplicates.of(pairs, listing, root, selection)
    return corpus


def list_clips(name: str, root: Path, **dataset_options: Any) -> Listing:
    """All clips of data set `name` in folder `root`, nothing decoded. Raises UserError."""
    if name not in DATASETS:
        raise UserError(f"data.name: got {name!r}; allowed are {', '.join(DATASETS)}.")
    if not root.is_dir():
        raise UserError(
            f"data.root: {root} is not a folder. Give the folder of {name} with --data FOLDER"
            " (or let --download fetch it, where the data set can be downloaded)."
        )
    try:
        return resolve_name(DATASETS[name])(root, **dataset_options)
    except OSError as error:
        raise UserError(f"data.root: {error.filename or root}: {error.strerror}.") from error


def _decided(option: str, value: Value | Literal["auto"]) -> Value:
    if value == "auto":
        raise UserError(
            f"data.{option}: is still auto, which a new search decides; give a value here."
        )
    return value


def _find_or_build(selection: Selection, decoding: Decoding, cache: Path, progress: bool) -> Corpus:
    if corpus := find_corpus(selection, decoding, cache):
        return corpus
    corpora = cache / "corpora"
    files = recordings(selection)
    description = describe(selection, decoding)
    status = status_of(files, description)

    def check_unchanged() -> None:
        if status_of(files, description).key != status.key:
            raise UserError("data.root: recordings changed while they were read; run it again.")

    with ThreadPoolExecutor(usable_cpus()) as threads, tracking(progress) as track:
        folder = corpora / content_key(files, description, threads, track)
        with _locked(folder, progress):
            if not _open_if_whole(folder):
                with published_folder(folder) as partial:
                    write_corpus(partial, selection, decoding, threads=threads, track=track)
                    check_unchanged()
    check_unchanged()
    if status.settled:
        publish_text(corpora / "seen" / status.key, folder.name)
    return Corpus.open(folder)


def find_corpus(selection: Selection, decoding: Decoding, cache: Path) -> Corpus | None:
    """What has been decoded of a selection; None if nothing was, or its files are newer."""
    corpora = cache / "corpora"
    status = status_of(recordings(selection), describe(selection, decoding))
    seen = corpora / "seen" / status.key
    return _open_if_whole(corpora / seen.read_text()) if seen.is_file() else None


def _open_if_whole(folder: Path) -> Corpus | None:
    try:
        return Corpus.open(folder)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None


@contextmanager
def _locked(folder: Path, progress: bool) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            say("Another process is decoding these recordings; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def usable_cpus() -> int:
    """How many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_bad_share(skipped: list[tuple[str, str]], total: int, max_bad_share: float) -> None:
    if len(skipped) <= max_bad_share * total:
        return
    shown = "; ".join(f"{path} {reason}" for path, reason in skipped[:SHOWN_BAD_FILES])
    more = f"; and {len(skipped) - SHOWN_BAD_FILES} more" if len(skipped) > SHOWN_BAD_FILES else ""
    raise UserError(
        f"data.max_bad_share: {len(skipped)} of {total} recordings cannot be used, more than "
        f"{max_bad_share:g} of them: {shown}{more}. Repair or remove them, or raise the share."
    )
