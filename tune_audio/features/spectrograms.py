"""What a model hears: batched stages from waveform to features, on the batch's device.

Parameter-free, so they always stand in the frozen prefix and are computed once for all trials.
Their windows are in seconds and their filters in hertz, whatever the sample rate.
"""

import torch
from torch import Tensor, nn

from tune_audio.features._torchaudio import torchaudio

get_mel_banks = torchaudio.compliance.kaldi.get_mel_banks

WINDOW_SECONDS = 0.025
HOP_SECONDS = 0.010


def window_samples(sample_rate: int) -> int:
    """A window of 25 ms: 400 samples at 16 kHz."""
    return round(WINDOW_SECONDS * sample_rate)


def hop_samples(sample_rate: int) -> int:
    """A hop of 10 ms: 160 samples at 16 kHz."""
    return round(HOP_SECONDS * sample_rate)


def fft_size(sample_rate: int) -> int:
    """The power of two that a window fits in: 512 at 16 kHz, 2048 at 44.1."""
    return 1 << (window_samples(sample_rate) - 1).bit_length()


def centred_frames(clip_samples: int, sample_rate: int) -> int:
    """Frames that MelAmplitude and LogMel make of a clip: one around every hop."""
    return 1 + clip_samples // hop_samples(sample_rate)


class MelAmplitude(nn.Module):
    """Mel amplitude spectrogram: waveform (B, T) -> (B, mel_bins, centred_frames(T)).

    Windows of 25 ms every 10 ms; mel bins from 40 Hz to just below half the sample rate: to
    7.8 kHz at 16 kHz.
    """

    axes = ("mel", "time")
    zero_mean = False
    POWER = 1.0
    LOW_HZ = 40.0
    HIGH_SHARE = 0.975  # of half the sample rate

    def __init__(self, sample_rate: int, mel_bins: int = 64):
        super().__init__()
        self.mel_bins, self.sample_rate = mel_bins, sample_rate
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate,
            n_fft=fft_size(sample_rate),
            win_length=window_samples(sample_rate),
            hop_length=hop_samples(sample_rate),
            n_mels=mel_bins,
            f_min=self.LOW_HZ,
            f_max=self.HIGH_SHARE * sample_rate / 2,
            power=self.POWER,
        )

    def forward(self, waveform: Tensor) -> Tensor:
        return self.mel(waveform)

    def extra_repr(self) -> str:
        return (
            f"mel_bins={self.mel_bins}, sample_rate={self.sample_rate}, n_fft={self.mel.n_fft}, "
            f"win_length={self.mel.win_length}, hop_length={self.mel.hop_length}, "
            f"f_min={self.mel.f_min}, f_max={self.mel.f_max}, power={self.POWER}"
        )


class LogMel(MelAmplitude):
    """Log mel power spectrogram, of the windows and mel bins of MelAmplitude.

    Natural logarithm of power + 1e-6, so that digital silence is -13.8 and not -inf.
    """

    POWER = 2.0

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.log(self.mel(waveform) + 1e-6)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, floor=1e-6"


class KaldiFbank(nn.Module):
    """Kaldi's log mel filter bank: waveform (B, T) -> (B, max_length, mel_bins).

    Equals transformers' ASTFeatureExtractor (Gong et al. 2021, arXiv:2104.01778), a batch at a
    time: windows of 25 ms every 10 ms, filled with zeros or cut to max_length frames and only then
    normalised to (x - mean) / (2 std), so that the filled frames are -mean / (2 std).
    """

    axes = ("time", "mel")
    LOW_HZ = 20.0
    PREEMPHASIS = 0.97
    window: Tensor
    banks: Tensor

    def __init__(
        self,
        sample_rate: int,
        max_length: int = 1024,
        mel_bins: int = 128,
        mean: float = -4.2677393,
        std: float = 4.5689974,
        do_normalize: bool = True,
    ):
        super().__init__()
        self.sample_rate = sample_rate
        self.window_samples, self.hop_samples = (
            window_samples(sample_rate),
            hop_samples(sample_rate),
        )
        self.fft_size = fft_size(sample_rate)
        self.max_length = max_length
        self.mel_bins = mel_bins
        self.mean, self.std = (mean, std) if do_normalize else (0.0, 0.5)
        self.zero_mean = do_normalize
        window = torch.hann_window(self.window_samples, periodic=False)
        banks, _ = get_mel_banks(
            mel_bins,
            self.fft_size,
            float(sample_rate),
            self.LOW_HZ,
            high_freq=0.0,  # up to Nyquist
            vtln_low=100.0,
            vtln_high=-500.0,
            vtln_warp_factor=1.0,  # no warping
        )
        self.register_buffer("window", window, persistent=False)
        # kaldi leaves the Nyquist bin out of its filters
        self.register_buffer("banks", nn.functional.pad(banks, (0, 1)).T, persistent=False)

    @staticmethod
    def frames(clip_samples: int, sample_rate: int) -> int:
        """How many windows lie in a clip whole."""
        return 1 + (clip_samples - window_samples(sample_rate)) // hop_samples(sample_rate)

    def forward(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(-1, self.window_samples, self.hop_samples)[:, : self.max_length]
        frames = frames - frames.mean(-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - self.PREEMPHASIS * previous) * self.window
        power = torch.fft.rfft(frames, n=self.fft_size).abs().pow(2)
        log_mel = (power @ self.banks).clamp(min=torch.finfo(torch.float32).eps).log()
        missing = self.max_length - log_mel.shape[1]
        log_mel = nn.functional.pad(log_mel, (0, 0, 0, missing))
        return (log_mel - self.mean) / (2 * self.std)

    def extra_repr(self) -> str:
        return (
            f"max_length={self.max_length}, mel_bins={self.mel_bins}, "
            f"mean={self.mean}, std={self.std}, "
            f"sample_rate={self.sample_rate}, window={self.window_samples}, "
            f"hop={self.hop_samples}, n_fft={self.fft_size}, f_min={self.LOW_HZ}, "
            f"preemphasis={self.PREEMPHASIS}"
        )
