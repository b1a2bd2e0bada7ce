"""Measurements of earlier searches, so that a family is measured once on a kind of device."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tune_audio import __version__
from tune_audio.costs.measure import Measurement
from tune_audio.data.corpus import Corpus
from tune_audio.machine.publish import publish_text

FILE = "measurement.json"


class Remembered:
    """Measurements in a folder of the cache, a folder each, by all that they depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Measurement | None:
        """None if nobody has measured it, or an earlier version did."""
        try:
            return Measurement.from_dict(json.loads((self.folder / key / FILE).read_text()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, measurement: Measurement) -> None:
        text = json.dumps(dataclasses.asdict(measurement), indent=1)
        publish_text(self.folder / key / FILE, text)


def key_of(
    corpus: Corpus,
    config: Mapping[str, Any],
    job: Mapping[str, Any],
    device: str,
    augments: Sequence[str],
) -> str:
    """What names the measurement of a configuration with clips of this form, so many of them."""
    counts = [len(corpus.rows(split)) for split in ("train", "validation")]
    training = {k: v for k, v in config["train_params"].items() if k not in ("lr", "seed")}
    parts = [
        __version__,
        torch.__version__,
        device,
        corpus.form,
        counts,
        config["model"],
        config["model_params"],
        training,
        config["threads"],
        job["folds"],
        sorted(augments),
    ]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
