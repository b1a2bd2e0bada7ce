"""Measurements in processes of their own, without Ray: each one's memory is its own."""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from tune_audio.costs.measure import Measurement, measure
from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.machine.environment import prepare_workers


@dataclass(frozen=True)
class Request:
    """What `measure` is to be called with."""

    corpus: Corpus
    config: Mapping[str, Any]
    job: Mapping[str, Any]
    augments: Sequence[str]
    feature_bytes: int


Key = tuple[str, str]  # a family and which of its configurations
Answer = Measurement | str  # or why there is none


def measure_apart(requests: Mapping[Key, Request], at_once: int) -> Iterator[tuple[Key, Answer]]:
    """Keys and measurements, as they come: so many at once, as busy as the search will be."""
    prepare_workers()
    with ThreadPoolExecutor(max(1, at_once)) as threads:
        started = {threads.submit(_in_a_process, r): key for key, r in requests.items()}
        for done in as_completed(started):
            yield started[done], done.result()


def _in_a_process(request: Request) -> Answer:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, request), daemon=True)
    process.start()
    theirs.close()
    try:
        answer: Answer = ours.recv()
    except EOFError:
        answer = "the process died, of too little memory perhaps"
    process.join()
    return answer


def _child(pipe: Connection, request: Request) -> None:
    r = request
    answer: Answer
    try:
        answer = measure(
            r.corpus, r.config, r.job, augments=r.augments, feature_bytes=r.feature_bytes
        )
    except UserError as error:
        answer = error.message
    except KeyboardInterrupt:  # whoever waits for the answer has been told, too
        return
    except Exception as error:
        answer = f"{type(error).__name__}: {error}".partition("\n")[0]
    pipe.send(answer)
