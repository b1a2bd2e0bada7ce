"""Pretrained backbones of transformers, from the Hugging Face hub or a folder."""

import copy
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from torch import nn

# transformers' models import torchaudio themselves, which needs ours to have come first.
import tune_audio.features._torchaudio  # noqa: F401
from tune_audio.errors import SurroundingsError, UserError
from tune_audio.features.waveforms import Resample

# Where a checkpoint's config.json may name a repository of code for transformers to run.
KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation")
LOADING_ERRORS = (
    ImportError,
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    SafetensorError,
    pickle.UnpicklingError,
)


COMPACT = "compact"  # the checkpoint that comes with the package, whatever the architecture
COMPACT_FOLDERS = {
    "wav2vec2": Path(__file__).parent / "compact" / "wav2vec2",
    "audio-spectrogram-transformer": Path(__file__).parent / "compact" / "ast",
}


class Pretrained(NamedTuple):
    """A backbone in eval() and the extractor that knows the features it was trained on."""

    backbone: transformers.PreTrainedModel
    extractor: transformers.FeatureExtractionMixin

    @property
    def architecture(self) -> dict[str, Any]:
        """All but the weights, for JSON: what `from_architecture` takes."""
        config = json.loads(self.backbone.config.to_json_string(use_diff=False))
        for of_the_checkpoint in ("_name_or_path", "id2label", "label2id"):
            config.pop(of_the_checkpoint, None)
        return {"config": config, "extractor": json.loads(self.extractor.to_json_string())}


class Backbone(NamedTuple):
    """The two classes of transformers that a checkpoint is loaded into.

    unread: how the names of weights begin that nobody reads, which a checkpoint may lack.
    """

    model: type[transformers.PreTrainedModel]
    extractor: type[transformers.FeatureExtractionMixin]
    unread: str = "masked_spec_embed"

    def load(self, checkpoint: str, *, trained: bool) -> Pretrained:
        """The weights of a checkpoint: a hub id (`facebook/wav2vec2-base`) or a folder.

        A backbone that stays frozen is loaded once a process and shared by all who ask for it, so
        leave its parameters alone; one to be trained is a copy. The global random state is not
        touched, so whether a trial is its process's first does not change its head's first weights.

        Raises UserError: it cannot be reached or read, lacks weights, or is of another kind.
        """
        loaded = _load(self, checkpoint)
        if not trained:
            return loaded
        backbone = copy.deepcopy(loaded.backbone).requires_grad_(True)
        return loaded._replace(backbone=backbone)

    def from_architecture(self, architecture: dict[str, Any]) -> Pretrained:
        """Random weights, for a state dict to be loaded into: `models.saved` knows how."""
        with torch.random.fork_rng(devices=[]), _quiet():
            config = self.model.config_class.from_dict(architecture["config"])
            extractor = self.extractor.from_dict(architecture["extractor"])
            return Pretrained(self.model(config).eval(), extractor)


def linear(in_features: int, out_features: int, config: transformers.PretrainedConfig) -> nn.Linear:
    """A linear layer with the first weights that transformers gives a head."""
    layer = nn.Linear(in_features, out_features)
    nn.init.normal_(layer.weight, std=config.initializer_range)
    nn.init.zeros_(layer.bias)
    return layer


def at_rate(rate: int, clip_samples: int, sample_rate: int) -> tuple[dict[str, nn.Module], int]:
    """The stage, if one is needed, that brings clips to a checkpoint's rate; their samples then."""
    if sample_rate == rate:
        return {}, clip_samples
    resample = Resample(sample_rate, rate)
    return {"resample": resample}, resample.samples(clip_samples)


def require_samples(
    clip_samples: int, sample_rate: int, least: int, model: str, otherwise: str = ""
) -> None:
    """Raises UserError for clips of fewer samples than the least that a model can hear."""
    if clip_samples < least:
        raise UserError(
            f"data.clip_seconds: got {clip_samples / sample_rate:g}; {model} needs at least "
            f"{least / sample_rate:g}{otherwise}"
        )


@lru_cache(maxsize=4)
def _load(classes: Backbone, checkpoint: str) -> Pretrained:
    if checkpoint == COMPACT:
        folder = _compact_folder(classes.model.config_class.model_type)
    else:
        folder = Path(checkpoint) if Path(checkpoint).is_dir() else _download(checkpoint)
    _check_kind(classes.model.config_class.model_type, folder, checkpoint)
    try:
        with torch.random.fork_rng(devices=[]), _quiet():
            extractor = classes.extractor.from_pretrained(folder, local_files_only=True)
            backbone, info = classes.model.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
    except LOADING_ERRORS as error:
        raise UserError(f"checkpoint {checkpoint}: {_one_line(error)}") from error
    _check_complete(backbone, info["missing_keys"], classes.unread, checkpoint)
    return Pretrained(backbone.eval().requires_grad_(False), extractor)


def _compact_folder(model_type: str) -> Path:
    if model_type not in COMPACT_FOLDERS:
        raise UserError(
            f"checkpoint compact: none comes with tune_audio for {model_type}, only for "
            f"{', '.join(COMPACT_FOLDERS)}; give a folder or a hub id"
        )
    return COMPACT_FOLDERS[model_type]


def _download(checkpoint: str) -> Path:
    """The hub's files of a checkpoint, from the hub's own cache where they are there already."""
    try:
        # Some repositories hold the same weights in both formats: one is enough.
        for weights in ("*.safetensors", "pytorch_model*.bin"):
            patterns = ["*config.json", "*.index.json", weights]
            folder = Path(snapshot_download(checkpoint, allow_patterns=patterns))
            if any(folder.glob(weights)):
                break
        return folder
    except HFValidationError as error:
        raise UserError(
            f"checkpoint {checkpoint}: no such folder; must be a folder that `hf download ID "
            "--local-dir FOLDER` wrote, or a hub id."
        ) from error
    except (OSError, ValueError) as error:
        raise SurroundingsError(
            f"checkpoint {checkpoint}: no such folder, and not to be had from the Hugging Face hub "
            f"({_one_line(error)}). Ways out: --checkpoint FAMILY=FOLDER with one that is here; "
            f"hf download {checkpoint} --local-dir FOLDER where there is a network, then the same; "
            "or --checkpoint FAMILY=compact, the small one that comes with tune_audio"
        ) from error


def is_here(checkpoint: str) -> bool:
    """Whether nothing has to be fetched for it: a folder, or in the hub's own cache."""
    if checkpoint == COMPACT or Path(checkpoint).is_dir():
        return True
    try:
        patterns = ["*config.json", "*.safetensors", "pytorch_model*.bin"]
        folder = snapshot_download(checkpoint, allow_patterns=patterns, local_files_only=True)
    except (OSError, ValueError):
        return False
    return any(file for pattern in patterns[1:] for file in Path(folder).glob(pattern))


def _check_kind(wanted: str, folder: Path, checkpoint: str) -> None:
    try:
        config = json.loads((folder / "config.json").read_text())
        found = config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"checkpoint {checkpoint}: {folder / 'config.json'} is missing or unreadable; give a "
            "folder that `hf download ID --local-dir FOLDER` wrote."
        ) from error
    if found != wanted:
        raise UserError(f"checkpoint {checkpoint}: model_type is {found}; must be {wanted}.")
    for key in KERNELS:
        if "/" in str(config.get(key)):  # a repository, whose code transformers would run
            raise UserError(f"checkpoint {checkpoint}: {key} is {config[key]}; must not be there.")


def _check_complete(
    backbone: transformers.PreTrainedModel, missing: set[str], unread: str, checkpoint: str
) -> None:
    """Refuse weights that transformers would leave at random values."""
    # Published wav2vec2 checkpoints that were fine-tuned without masking lack the mask's vector.
    # Only training reads it, and starts it from zero then.
    if "masked_spec_embed" in missing:
        torch.nn.init.zeros_(backbone.masked_spec_embed)
    lacking = sorted(name for name in missing if not name.startswith(unread))
    if lacking:
        raise UserError(
            f"checkpoint {checkpoint}: lacks {len(lacking)} of its model's weights, first "
            f"{lacking[0]}; get it again, or give another."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' warnings and progress bars: what matters is raised."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
