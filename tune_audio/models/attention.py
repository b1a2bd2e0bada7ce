"""Self-attention for any number of heads, and the transformer encoder of reports C and E."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiheadSelfAttention(nn.Module):
    """Self-attention (Vaswani et al. 2017, arXiv:1706.03762): (B, T, width) -> (B, T, width).

    Where num_heads does not divide width, the heads' widths differ by one (250 for 4 heads:
    63, 63, 62, 62), so that there are 4 width^2 + 4 width parameters for every number of heads,
    as report E counts them. Equals nn.MultiheadAttention, given its in_proj as `qkv` and its
    out_proj as `output`, wherever that accepts num_heads.

    Raises ValueError unless 1 <= num_heads <= width.
    """

    scale: Tensor

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        if not 1 <= num_heads <= width:
            raise ValueError(f"{num_heads} heads over a width of {width}: give 1 to {width}")
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = dropout
        self.head_widths = [width // num_heads + (h < width % num_heads) for h in range(num_heads)]
        scale = torch.tensor(self.head_widths, dtype=torch.float32).rsqrt().view(-1, 1, 1)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = map(self._split_heads, self.qkv(x).chunk(3, dim=-1))
        attended = F.scaled_dot_product_attention(
            query * self.scale,
            key,
            value,
            dropout_p=self.dropout if self.training else 0.0,
            scale=1.0,
        )
        heads = [attended[:, h, :, :width] for h, width in enumerate(self.head_widths)]
        return self.output(torch.cat(heads, dim=-1))

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, T, width) -> (B, num_heads, T, widest head): zeros add nothing to a dot product."""
        heads = x.split(self.head_widths, dim=-1)
        widest = self.head_widths[0]
        return torch.stack([F.pad(head, (0, widest - head.shape[-1])) for head in heads], dim=1)

    def extra_repr(self) -> str:
        return f"head_widths={self.head_widths}, dropout={self.dropout}"


class EncoderBlock(nn.Module):
    """A transformer encoder layer: (B, T, width) -> (B, T, width), ReLU in its feed-forward.

    Layer norm after each addition, as in the paper and by default in nn.TransformerEncoderLayer,
    or before each part with norm_first (Xiong et al. 2020, arXiv:2002.04745), which learns without
    a warm-up of the learning rate.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        feedforward: int,
        dropout: float = 0.1,
        norm_first: bool = False,
    ):
        super().__init__()
        self.norm_first = norm_first
        self.attention = MultiheadSelfAttention(width, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward, width),
        )
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm_first:
            x = x + self.dropout(self.attention(self.attention_norm(x)))
            return x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x)))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))

    def extra_repr(self) -> str:
        return f"norm_first={self.norm_first}"


class TimeTokens(nn.Module):
    """Each instant becomes a token: (B, channels, T) -> (B, T, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class PrependClassToken(nn.Module):
    """A class token first, and sinusoidal positions: (B, T, width) -> (B, 1 + T, width).

    The class token is learned, or all zeros and then no parameter.
    """

    class_token: Tensor
    positions: Tensor

    def __init__(self, length: int, width: int, *, learned: bool, positions: bool, dropout: float):
        super().__init__()
        if learned:
            self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        else:
            self.register_buffer("class_token", torch.zeros(1, 1, width), persistent=False)
        added = sinusoidal_positions(1 + length, width) if positions else torch.zeros(1, width)
        self.register_buffer("positions", added, persistent=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.dropout(tokens + self.positions)


class ClassToken(nn.Module):
    """The class token of a sequence: (B, T, width) -> (B, width)."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """Positions of Vaswani et al. 2017, section 3.5: (length, width), sines in even columns."""
    position = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(1e4) / width))
    positions = torch.zeros(length, width)
    positions[:, 0::2] = torch.sin(position * rate)
    positions[:, 1::2] = torch.cos(position * rate[: width // 2])
    return positions
