"""What a model costs: parameters and multiply-adds, counted; milliseconds, measured."""

import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

CLIPS = 8  # that are answered for together where it is timed


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Numbers of trainable and of frozen parameters (scalars)."""
    counts = {True: 0, False: 0}
    for parameter in model.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return {"trainable_parameters": counts[True], "frozen_parameters": counts[False]}


def multiply_adds(model: nn.Sequential, clip_samples: int) -> int:
    """Multiply-adds of one clip's way from waveform to logits, all stages counted.

    Those of convolutions, linear layers, attention and recurrences. Additions of biases, norms,
    activations, pooling and the spectrogram's FFT are not counted, as is usual.

    On the meta device: nothing is computed, no weight is copied, and an LSTM or attention is
    made of matrix products there, where elsewhere it is one kernel that torch does not count.
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    shapes = {name: tensor.to("meta") for name, tensor in tensors}
    waveform = torch.empty(1, clip_samples, device="meta")
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            torch.func.functional_call(model, shapes, (waveform,))
    finally:
        for module, training in modes.items():
            module.training = training
    return counter.get_total_flops() // 2


def milliseconds(model: nn.Sequential, clip_samples: int) -> float:
    """Of a clip's way from waveform to logits, in a batch of CLIPS, on the model's own device."""
    device = next(model.parameters()).device
    waveforms = torch.linspace(-0.1, 0.1, clip_samples, device=device).expand(CLIPS, -1)
    model.eval()
    seconds = []
    with torch.inference_mode():
        for _ in range(4):
            started = time.perf_counter()
            model(waveforms).sum().item()  # waits for a GPU
            seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds) / CLIPS
