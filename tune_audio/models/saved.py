"""A trained model as a folder: weights as safetensors, the rest as JSON; no pickle, no hub.

config.json holds what `save_model` was told and, for a model with a pretrained backbone, the
architecture of its checkpoint, so that loading needs neither the checkpoint nor a network.
"""

import json
import os
import pkgutil
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tune_audio.errors import UserError
from tune_audio.models import MODELS
from tune_audio.models.saved_config import FORMAT, check_config, no_larger_than

LIBRARIES = ("tune-audio", "torch", "torchaudio", "transformers")


def save_model(
    folder: Path,
    model: nn.Sequential,
    *,
    name: str,
    params: dict[str, Any],
    labels: Sequence[str],
    clip_samples: int,
    sample_rate: int,
    extra: dict[str, Any],
) -> None:
    """Write a model of MODELS to a folder, whole or not at all; one that is there is replaced.

    name: its key in MODELS. params: the keyword arguments it was made with. clip_samples,
    sample_rate: of the waveforms it hears. extra: what else a
    reader may want to know and JSON can hold (scores, the configuration it was trained with).
    """
    config = {
        "format": FORMAT,
        "model": name,
        "params": params,
        "labels": list(labels),
        "clip_samples": clip_samples,
        "sample_rate": sample_rate,
        "extra": extra,
        "versions": _versions(),
    }
    if hasattr(model, "architecture"):
        config["architecture"] = model.architecture
    state = {key: tensor.cpu().contiguous() for key, tensor in model.state_dict().items()}
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        save_file(state, temporary / "model.safetensors")
        (temporary / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        _replace(folder, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_model(folder: Path) -> tuple[nn.Sequential, dict[str, Any]]:
    """The model in eval(), and config.json as a dict, of a folder that `save_model` wrote.

    Raises UserError: no such folder, not written by `save_model`, or damaged.
    """
    folder = Path(folder)
    try:
        config = check_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        weights = folder / "model.safetensors"
        with no_larger_than(weights.stat().st_size):
            model = _build(config)
        model.load_state_dict(load_file(weights))
        _check_finite(model)
    except UserError as error:
        raise UserError(f"{folder}: {error.message}") from error
    except Exception as error:  # whatever transformers and torch raise of what others wrote
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"{folder}: not a model that can be loaded ({reason}); give the `model` folder of a "
            "retrained run."
        ) from error
    return model.eval(), config


def _build(config: dict[str, Any]) -> nn.Sequential:
    model_class = pkgutil.resolve_name(MODELS[config["model"]])
    arguments = {}
    if "architecture" in config:
        arguments["pretrained"] = model_class.classes.from_architecture(config["architecture"])
    with torch.random.fork_rng(devices=[]):
        return model_class(
            len(config["labels"]),
            config["clip_samples"],
            config["sample_rate"],
            **arguments,
            **config["params"],
        )


def _check_finite(model: nn.Sequential) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} has weights that are no numbers")


def _replace(folder: Path, temporary: Path) -> None:
    """Move a finished folder to its place; of an earlier one in that place nothing remains."""
    if not folder.exists():
        os.rename(temporary, folder)
        return
    earlier = temporary.with_name(f"{temporary.name}.earlier")
    os.rename(folder, earlier)
    os.rename(temporary, folder)
    shutil.rmtree(earlier)


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        with suppress(ImportError):
            found[library] = version(library)
    return found
