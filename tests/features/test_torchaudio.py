"""torchaudio imports beside a CPU-only torch; what else goes wrong on import is not hidden."""

import importlib

import pytest
import torch

from tune_audio.features import _torchaudio


def test_transforms_work() -> None:
    spectrogram = _torchaudio.torchaudio.transforms.MelSpectrogram(16_000, n_mels=8)
    assert spectrogram(torch.zeros(1, 800)).shape[:2] == (1, 8)


@pytest.mark.parametrize(
    "message",
    [
        "libfoo.so: cannot open shared object file: No such file or directory",
        "libc10_cuda.so: undefined symbol: _ZN3c10",
        "No space left on device",
    ],
)
def test_other_errors_are_raised(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    def fail(name: str) -> None:
        raise OSError("Could not load this library") from OSError(message)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(OSError, match="Could not load this library"):
        _torchaudio.import_torchaudio()


def test_extension_is_skipped_only_after_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "libcudart.so.13: cannot open shared object file: No such file or directory"
    answers = iter([OSError("Could not load this library"), "imported"])

    def load(name: str) -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer from OSError(missing)
        return answer

    loader = importlib.import_module("torchaudio._extension.utils")
    monkeypatch.setattr(loader, "_load_lib", lambda lib: True)
    monkeypatch.setattr(importlib, "import_module", load)
    assert _torchaudio.import_torchaudio() == "imported"
    assert loader._load_lib("libtorchaudio") is False
