"""The students: transformers' own wav2vec 2.0 and AST, with a million parameters each."""

from collections.abc import Callable
from dataclasses import dataclass

# first, for transformers imports torchaudio, which fails where only this file's shim has not run
import tune_audio.features._torchaudio  # noqa: F401

# isort: split
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    PreTrainedModel,
    SequenceFeatureExtractor,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from tune_audio.data.synthesis import SAMPLE_RATE
from tune_audio.features.spectrograms import KaldiFbank
from tune_audio.features.waveforms import ZeroMeanUnitVariance
from tune_audio.models.compact.corpus import WORDS
from tune_audio.models.compact.teacher import FRAMES, MEL_BINS, spec_augment

HIDDEN_SIZE = 128


class Student(nn.Module):
    """A backbone and what distilling it takes.

    Waveforms (B, 16000) -> frames (B, frames, C) and logits (B, words).

    `teacher_frames` brings the teachers' frames (B, 49, C) to the student's rate.
    """

    backbone: PreTrainedModel
    extractor: SequenceFeatureExtractor
    teacher_frames: Callable[[Tensor], Tensor]

    def __init__(self, backbone: PreTrainedModel, channels: int):
        super().__init__()
        self.backbone = backbone
        self.to_frames = nn.Linear(HIDDEN_SIZE, channels)
        self.to_logits = nn.Linear(HIDDEN_SIZE, len(WORDS))


class Wav2Vec2Student(Student):
    def __init__(self, channels: int, statistics: dict[str, float], generator: torch.Generator):
        config = Wav2Vec2Config(
            hidden_size=HIDDEN_SIZE,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=4 * HIDDEN_SIZE,
            conv_dim=(32, 32, 64, 96, 128, 128, 128),
            num_conv_pos_embeddings=32,
            num_conv_pos_embedding_groups=8,
            do_stable_layer_norm=True,
            classifier_proj_size=HIDDEN_SIZE,
            hidden_dropout=0.05,
            attention_dropout=0.05,
            activation_dropout=0.0,
            feat_proj_dropout=0.05,
            final_dropout=0.0,
            layerdrop=0.0,
            mask_time_prob=0.05,
            mask_time_length=5,
        )
        super().__init__(Wav2Vec2Model(config), channels)
        self.normalise = ZeroMeanUnitVariance()
        self.extractor = Wav2Vec2FeatureExtractor(sampling_rate=SAMPLE_RATE, do_normalize=True)

    def forward(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.backbone(self.normalise(waveforms)).last_hidden_state
        return self.to_frames(hidden), self.to_logits(hidden.mean(1))

    @staticmethod
    def teacher_frames(frames: Tensor) -> Tensor:
        return frames


class ASTStudent(Student):
    PATCH = 16
    TIME_STRIDE = 8  # fbank frames

    def __init__(self, channels: int, statistics: dict[str, float], generator: torch.Generator):
        config = ASTConfig(
            hidden_size=HIDDEN_SIZE,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=4 * HIDDEN_SIZE,
            hidden_dropout_prob=0.05,
            attention_probs_dropout_prob=0.0,
            patch_size=self.PATCH,
            frequency_stride=self.PATCH,
            time_stride=self.TIME_STRIDE,
            max_length=FRAMES,
            num_mel_bins=MEL_BINS,
        )
        super().__init__(ASTModel(config), channels)
        # transformers leaves these at zero, from where identical tokens never part
        for name, parameter in self.backbone.embeddings.named_parameters():
            if name.endswith(("token", "embeddings")):
                nn.init.trunc_normal_(parameter, std=0.02)
        self.fbank = KaldiFbank(
            SAMPLE_RATE, FRAMES, MEL_BINS, statistics["mean"], statistics["std"]
        )
        self.extractor = ASTFeatureExtractor(
            num_mel_bins=MEL_BINS, max_length=FRAMES, sampling_rate=SAMPLE_RATE, **statistics
        )
        self.generator = generator
        self.bands = MEL_BINS // self.PATCH

    def forward(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        # outside of autocast: bfloat16 has not the range of a power spectrum
        with torch.autocast("cpu", enabled=False):
            fbank = self.fbank(waveforms)
        if self.training:
            fbank = spec_augment(fbank, self.generator, frames=14, bins=10)
        output = self.backbone(fbank)
        patches = output.last_hidden_state[:, 2:].unflatten(1, (self.bands, -1)).mean(1)
        return self.to_frames(patches), self.to_logits(output.pooler_output)

    @classmethod
    def teacher_frames(cls, frames: Tensor) -> Tensor:
        """Average over what a patch covers: the teachers' frames are 20 ms, the fbank's 10."""
        pooled = F.avg_pool1d(frames.transpose(1, 2), cls.PATCH // 2, cls.TIME_STRIDE // 2)
        return pooled.transpose(1, 2)


STUDENTS: dict[str, Callable[..., Student]] = {"wav2vec2": Wav2Vec2Student, "ast": ASTStudent}


@dataclass(frozen=True)
class DistillationLoss:
    """2 MSE of the frames + KL of the logits at temperature 2 + half the words' cross-entropy."""

    temperature: float = 2.0

    def __call__(
        self,
        student: tuple[Tensor, Tensor],
        teacher: tuple[Tensor, Tensor],
        labels: Tensor,
    ) -> dict[str, Tensor]:
        frames, logits = student
        soft = F.log_softmax(logits.float() / self.temperature, -1)
        target = F.log_softmax(teacher[1] / self.temperature, -1)
        parts = {
            "frames": F.mse_loss(frames.float(), teacher[0]),
            "logits": F.kl_div(soft, target, log_target=True, reduction="batchmean"),
            "words": F.cross_entropy(logits.float(), labels),
        }
        total = 2 * parts["frames"] + parts["logits"] + 0.5 * parts["words"]
        return {**parts, "total": total}
