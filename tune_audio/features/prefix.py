"""Where a frozen prefix ends, and what names it."""

import hashlib
import inspect
import sys
from importlib.metadata import version
from weakref import WeakKeyDictionary

import torch
from torch import nn

# What a head is made of besides the last stage, whatever that is.
HEAD_LAYERS = (nn.Linear, nn.LayerNorm, nn.Dropout, nn.Flatten, nn.Identity)
_fingerprints: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def split_model(model: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """Split a model into (frozen prefix, trainable suffix); its stages are shared, not copied.

    The suffix starts at the first stage with a parameter that requires a gradient. The prefix is
    put into eval(): a frozen backbone has no dropout, layerdrop or SpecAugment of its own.
    """
    stages = list(model.named_children())
    first = next(
        (i for i, (_, s) in enumerate(stages) if any(p.requires_grad for p in s.parameters())),
        len(stages),
    )
    prefix, suffix = nn.Sequential(), nn.Sequential()
    for i, (name, stage) in enumerate(stages):
        (prefix if i < first else suffix).add_module(name, stage)
    return prefix.eval(), suffix


def split_head(suffix: nn.Sequential) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trained parameters of a suffix's backbone, and of its head.

    The head is the last stage and those before it that are made of HEAD_LAYERS alone: for wav2vec2
    projector and classifier, for AST layer norm and classifier. The first list is empty where the
    head alone is trained.
    """
    stages = list(suffix)
    first = len(stages) - 1
    while first > 0 and all(isinstance(m, HEAD_LAYERS) for m in _leaves(stages[first - 1])):
        first -= 1
    backbone, head = (
        [p for stage in part for p in stage.parameters() if p.requires_grad]
        for part in (stages[:first], stages[first:])
    )
    return backbone, head


def _leaves(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if next(m.children(), None) is None]


def fingerprint(module: nn.Module) -> str:
    """A hash of all that a frozen module's output depends on: code, settings, weights.

    Every module's hash is kept with it, because hashing a backbone's weights takes most of a
    second and the backbone is shared by all trials of a process.
    """
    if module not in _fingerprints:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{module!r} torch {torch.__version__.partition('+')[0]}".encode())
        digest.update(_code(type(module)).encode())
        if hasattr(module, "config"):
            digest.update(str(module.config).encode())
        # Buffers that are not saved (a mel filter bank, say) count as much as those that are.
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            digest.update(raw.data)
        for name, child in module.named_children():
            digest.update(f"{name} {fingerprint(child)}".encode())
        _fingerprints[module] = digest.hexdigest()
    return _fingerprints[module]


def _code(cls: type) -> str:
    """What a module class computes: our own source text, or a library's name and version."""
    package = cls.__module__.partition(".")[0]
    if package == "torch":  # its version is in every fingerprint
        return cls.__qualname__
    if package == "transformers":
        return f"{cls.__qualname__} {version('transformers')}"
    return inspect.getsource(sys.modules[cls.__module__])
