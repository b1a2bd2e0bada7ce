"""What a model hears: batched stages from waveform to features, on the batch's device.

Parameter-free, so they always stand in the frozen prefix and are computed once for all trials.
"""

import torch
from torch import Tensor, nn

from tune_audio.data.clips import SAMPLE_RATE
from tune_audio.features._torchaudio import torchaudio

get_mel_banks = torchaudio.compliance.kaldi.get_mel_banks


class MelAmplitude(nn.Module):
    """Mel amplitude spectrogram: waveform (B, T) at 16 kHz -> (B, mel_bins, 1 + T // 160).

    Windows of 25 ms (400 samples) every 10 ms (160 samples), 512-point FFT, mel bins from 40 Hz to
    7.8 kHz.
    """

    axes = ("mel", "time")
    zero_mean = False
    POWER = 1.0

    def __init__(self, mel_bins: int = 64):
        super().__init__()
        self.mel_bins = mel_bins
        self.mel = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE,
            n_fft=512,
            win_length=400,
            hop_length=160,
            n_mels=mel_bins,
            f_min=40.0,
            f_max=7800.0,
            power=self.POWER,
        )

    def forward(self, waveform: Tensor) -> Tensor:
        return self.mel(waveform)

    def extra_repr(self) -> str:
        return (
            f"mel_bins={self.mel_bins}, sample_rate={SAMPLE_RATE}, n_fft={self.mel.n_fft}, "
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
    """Kaldi's log mel filter bank: waveform (B, T) at 16 kHz -> (B, max_length, mel_bins).

    Equals transformers' ASTFeatureExtractor (Gong et al. 2021, arXiv:2104.01778), a batch at a
    time: windows of 25 ms every 10 ms, filled with zeros or cut to max_length frames and only then
    normalised to (x - mean) / (2 std), so that the filled frames are -mean / (2 std).
    """

    axes = ("time", "mel")
    WINDOW_SAMPLES = 400
    HOP_SAMPLES = 160
    FFT_SIZE = 512
    LOW_HZ = 20.0
    PREEMPHASIS = 0.97

    def __init__(
        self,
        max_length: int = 1024,
        mel_bins: int = 128,
        mean: float = -4.2677393,
        std: float = 4.5689974,
        do_normalize: bool = True,
    ):
        super().__init__()
        self.max_length = max_length
        self.mel_bins = mel_bins
        self.mean, self.std = (mean, std) if do_normalize else (0.0, 0.5)
        self.zero_mean = do_normalize
        window = torch.hann_window(self.WINDOW_SAMPLES, periodic=False)
        banks, _ = get_mel_banks(
            mel_bins,
            self.FFT_SIZE,
            float(SAMPLE_RATE),
            self.LOW_HZ,
            high_freq=0.0,  # up to Nyquist
            vtln_low=100.0,
            vtln_high=-500.0,
            vtln_warp_factor=1.0,  # no warping
        )
        self.register_buffer("window", window, persistent=False)
        # kaldi leaves the Nyquist bin out of its filters
        self.register_buffer("banks", nn.functional.pad(banks, (0, 1)).T, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(-1, self.WINDOW_SAMPLES, self.HOP_SAMPLES)[:, : self.max_length]
        frames = frames - frames.mean(-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - self.PREEMPHASIS * previous) * self.window
        power = torch.fft.rfft(frames, n=self.FFT_SIZE).abs().pow(2)
        log_mel = (power @ self.banks).clamp(min=torch.finfo(torch.float32).eps).log()
        missing = self.max_length - log_mel.shape[1]
        log_mel = nn.functional.pad(log_mel, (0, 0, 0, missing))
        return (log_mel - self.mean) / (2 * self.std)

    def extra_repr(self) -> str:
        return (
            f"max_length={self.max_length}, mel_bins={self.mel_bins}, "
            f"mean={self.mean}, std={self.std}, "
            f"sample_rate={SAMPLE_RATE}, window={self.WINDOW_SAMPLES}, hop={self.HOP_SAMPLES}, "
            f"n_fft={self.FFT_SIZE}, f_min={self.LOW_HZ}, preemphasis={self.PREEMPHASIS}"
        )


class ZeroMeanUnitVariance(nn.Module):
    """Each clip to mean 0 and variance 1: (B, T) -> (B, T), as Wav2Vec2FeatureExtractor does.

    The variance is that of the population, plus 1e-7, so that silence stays silence.
    """

    def forward(self, waveform: Tensor) -> Tensor:
        variance, mean = torch.var_mean(waveform, dim=-1, correction=0, keepdim=True)
        return (waveform - mean) / torch.sqrt(variance + 1e-7)

    def extra_repr(self) -> str:
        return "epsilon=1e-7"
