"""The architectures of reports B, C, D and E: the reports' own counts, and that they learn."""

from functools import partial

import pytest
import torch
import transformers
from make_audio import RATE
from torch import nn

from tune_audio.errors import UserError
from tune_audio.models.attention import EncoderBlock, MultiheadSelfAttention
from tune_audio.models.cnn_mel import CNNMel
from tune_audio.models.cnn_raw import CNNRaw
from tune_audio.models.cnn_transformer_mel import CNNTransformerMel
from tune_audio.models.cnn_transformer_raw import CNNTransformerRaw
from tune_audio.models.convs2s import ConvS2S
from tune_audio.models.deit_ast import (
    DeiTAST,
    spectrogram_config,
    spectrogram_embeddings,
)
from tune_audio.models.mixer import ConvMixer
from tune_audio.models.recurrent import GRU, LSTM

ONE_SECOND = 16_000
SMALL_DEIT = transformers.DeiTConfig(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
)
LEARNS_FROM_WAVEFORMS = {"tokens": "time", "activation": "relu", "positions": "sinusoidal"}


def deit() -> transformers.DeiTModel:
    """A small DeiT with no two weights alike, positions and tokens included."""
    model = transformers.DeiTModel(SMALL_DEIT, add_pooling_layer=False).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture
def deit_folder(tmp_path):
    deit().save_pretrained(tmp_path)
    return str(tmp_path)


def tones(frequencies: torch.Tensor, samples: int) -> torch.Tensor:
    """One tone (Hz) a clip."""
    seconds = torch.arange(samples) / ONE_SECOND
    return 0.5 * torch.sin(2 * torch.pi * frequencies[:, None] * seconds)


def trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_counts_of_report_c():
    assert trainable(CNNMel(10, ONE_SECOND, RATE)) == 36_522
    for num_heads in (1, 2, 4):
        assert trainable(CNNTransformerMel(10, ONE_SECOND, RATE, num_heads=num_heads)) == 335_402


def test_counts_of_report_e():
    assert trainable(CNNRaw(10, ONE_SECOND, RATE)) == 128_682
    for num_heads in (1, 2, 4):
        assert trainable(CNNTransformerRaw(10, ONE_SECOND, RATE, num_heads=num_heads)) == 2_607_778


@pytest.mark.parametrize("num_heads", [1, 2, 5])
def test_attention_is_torchs_where_torch_has_it(num_heads):
    theirs = nn.MultiheadAttention(250, num_heads, batch_first=True)
    ours = MultiheadSelfAttention(250, num_heads)
    ours.qkv.weight, ours.qkv.bias = theirs.in_proj_weight, theirs.in_proj_bias
    ours.output.load_state_dict(theirs.out_proj.state_dict())
    x = torch.randn(2, 33, 250)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


def test_uneven_heads_each_attend_on_their_own():
    """By the definition, a head at a time, as torch would if it took 4 heads of 250."""
    attention = MultiheadSelfAttention(250, 4)
    x = torch.randn(2, 7, 250)
    heads = []
    query, key, value = (p.tensor_split(4, -1) for p in attention.qkv(x).chunk(3, -1))
    for q, k, v in zip(query, key, value, strict=True):
        heads.append(torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v)
    assert [head.shape[-1] for head in heads] == [63, 63, 62, 62]
    torch.testing.assert_close(attention(x), attention.output(torch.cat(heads, -1)))


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_block_is_torchs(norm_first):
    theirs = nn.TransformerEncoderLayer(
        64, 2, 96, dropout=0.0, batch_first=True, norm_first=norm_first
    )
    ours = EncoderBlock(64, 2, 96, dropout=0.0, norm_first=norm_first)
    with torch.no_grad():
        ours.attention.qkv.weight.copy_(theirs.self_attn.in_proj_weight)
        ours.attention.qkv.bias.copy_(torch.randn(3 * 64))
        theirs.self_attn.in_proj_bias.copy_(ours.attention.qkv.bias)
    ours.attention.output.load_state_dict(theirs.self_attn.out_proj.state_dict())
    ours.feedforward[0].load_state_dict(theirs.linear1.state_dict())
    ours.feedforward[3].load_state_dict(theirs.linear2.state_dict())
    x = torch.randn(3, 5, 64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_more_heads_than_columns_are_refused():
    with pytest.raises(ValueError, match="give 1 to 8"):
        MultiheadSelfAttention(8, 9)


SMALL = {
    "cnn_mel": CNNMel,
    "cnn_mel log_mel": partial(CNNMel, features="log_mel"),
    "cnn_transformer_mel": CNNTransformerMel,
    "cnn_raw": CNNRaw,
    "cnn_raw relu": partial(CNNRaw, activation="relu"),
    "cnn_transformer_raw": partial(CNNTransformerRaw, feedforward=64),
    "cnn_transformer_raw time": partial(CNNTransformerRaw, feedforward=64, **LEARNS_FROM_WAVEFORMS),
    "convs2s": partial(ConvS2S, width=32, num_layers=2),
    "lstm": partial(LSTM, hidden_size=24, num_layers=1),
    "lstm last": partial(LSTM, hidden_size=24, pooling="last"),
    "gru": partial(GRU, hidden_size=24, num_layers=1),
    "gru max": partial(GRU, hidden_size=24, pooling="max", bidirectional=False),
    "conv_mixer": partial(ConvMixer, width=24, depth=2, patch_size=8),
}


@pytest.mark.parametrize("seconds", [0.5, 1, 5])
@pytest.mark.parametrize("name", SMALL)
def test_logits_of_clips_of_any_length(name, seconds):
    samples = int(seconds * ONE_SECOND)
    model = SMALL[name](7, samples, RATE).eval()
    assert isinstance(model, nn.Sequential)
    with torch.no_grad():
        assert model(0.1 * torch.randn(2, samples)).shape == (2, 7)


@pytest.mark.parametrize("name", SMALL)
def test_overfits_eight_clips(name):
    """Four tones, twice each; dropout off, so that what is seen is the architecture."""
    samples = ONE_SECOND // 4
    waveforms = tones(torch.tensor([200.0, 210, 500, 520, 1200, 1250, 3000, 3100]), samples)
    targets = torch.arange(8) // 2
    model = SMALL[name](4, samples, RATE)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(waveforms), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.05:
            break
    assert loss < 0.05


@pytest.mark.parametrize(
    ("model", "samples", "message"),
    [
        (CNNMel, 400, r"clip_seconds to 0\.1 "),
        (CNNTransformerMel, 400, r"clip_seconds to 0\.1 "),
        (CNNRaw, 42, r"clip_seconds to 0\.01 "),
        (CNNTransformerRaw, 42, r"clip_seconds to 0\.01 "),
        (CNNTransformerRaw, 64, "set num_heads to 1 or less"),
        (ConvMixer, 400, "patch_size to 3 or less"),
    ],
)
def test_too_short_clips_are_told(model, samples, message):
    with pytest.raises(UserError, match=message):
        model(10, samples, RATE)


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_report_e_cannot_tell_its_channels_apart(num_heads):
    """Without positions, attention sees its tokens as a set."""
    model = CNNTransformerRaw(10, ONE_SECOND, RATE, num_heads=num_heads).eval()
    tokens = torch.randn(2, 32, 250)
    rest = nn.Sequential(*list(model)[1:])
    shuffled = tokens[:, torch.randperm(32)]
    torch.testing.assert_close(rest(shuffled), rest(tokens))
    placed = CNNTransformerRaw(
        10, ONE_SECOND, RATE, num_heads=num_heads, positions="sinusoidal"
    ).eval()
    rest = nn.Sequential(*list(placed)[1:])
    assert not torch.allclose(rest(shuffled), rest(tokens), atol=1e-3)


def test_deit_ast_is_deit_on_grey_images(deit_folder):
    image_model = transformers.DeiTModel.from_pretrained(deit_folder, add_pooling_layer=False)
    model = DeiTAST(
        5,
        ONE_SECOND,
        RATE,
        checkpoint=deit_folder,
        mel_bins=224,
        max_length=224,
        stride=16,
        colours="sum",
    ).eval()
    grey = torch.randn(2, 224, 224)
    with torch.no_grad():
        seen = image_model(grey[:, None].expand(-1, 3, -1, -1)).last_hidden_state
        heard = model.backbone(grey.transpose(1, 2))
    torch.testing.assert_close(heard, seen, atol=1e-4, rtol=1e-4)


def test_colours_averaged_are_a_third_of_colours_summed():
    config = spectrogram_config(SMALL_DEIT, stride=10, mel_bins=128, frames=98)
    kernels = [
        spectrogram_embeddings(deit_model, config, colours, "bilinear").patch_embeddings.projection
        for deit_model in [deit()]
        for colours in ("average", "sum")
    ]
    torch.testing.assert_close(3 * kernels[0].weight, kernels[1].weight)


def test_positions_are_the_middle_of_shorter_axes():
    model = deit()
    config = spectrogram_config(
        SMALL_DEIT, stride=16, mel_bins=128, frames=160
    )  # 8 x 10 of 14 x 14
    embeddings = spectrogram_embeddings(model, config, "sum", "centre")
    grid = model.embeddings.position_embeddings[0, 2:].unflatten(0, (14, 14))
    middle = grid[3:11, 2:12].flatten(0, 1)
    torch.testing.assert_close(embeddings.position_embeddings[0, 2:], middle)
    torch.testing.assert_close(
        embeddings.position_embeddings[:, :2], model.embeddings.position_embeddings[:, :2]
    )


@pytest.mark.parametrize("stride", [10, 16])
@pytest.mark.parametrize("positions", ["bilinear", "centre"])
@pytest.mark.parametrize("seconds", [0.5, 1, 5])
def test_deit_ast_hears_clips_of_any_length(deit_folder, stride, positions, seconds):
    samples = int(seconds * ONE_SECOND)
    model = DeiTAST(
        5,
        samples,
        RATE,
        checkpoint=deit_folder,
        stride=stride,
        positions=positions,
        freeze="backbone",
    ).eval()
    assert model(0.1 * torch.randn(2, samples)).shape == (2, 5)
    assert trainable(model) == 2 * 32 + 5 * 32 + 5


def test_deit_ast_overfits_eight_clips(deit_folder):
    samples = ONE_SECOND // 2
    waveforms = tones(torch.tensor([200.0, 210, 500, 520, 1200, 1250, 3000, 3100]), samples)
    targets = torch.arange(8) // 2
    model = DeiTAST(4, samples, RATE, checkpoint=deit_folder, initial_weights="random", stride=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model.train()(waveforms), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model.eval()(waveforms).argmax(1) == targets).all()


def test_training_a_deit_ast_leaves_the_shared_checkpoint_alone(deit_folder):
    frozen = DeiTAST(4, ONE_SECOND, RATE, checkpoint=deit_folder, freeze="backbone")
    before = {name: tensor.clone() for name, tensor in frozen.backbone.state_dict().items()}
    trained = DeiTAST(4, ONE_SECOND, RATE, checkpoint=deit_folder)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1.0)
    assert not any(p.requires_grad for p in frozen.backbone.parameters())
    for name, tensor in frozen.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_deit_ast_from_scratch_needs_no_network():
    model = DeiTAST(5, 10 * ONE_SECOND, RATE, initial_weights="random", max_length=1024, stride=16)
    assert trainable(model) == pytest.approx(5.49e6, rel=0.01)
    positions = model.backbone.embeddings.position_embeddings
    assert 0.005 < positions.std() < 0.03


def test_published_deit_checkpoints_load(tmp_path):
    """On the hub they are classifiers with two heads, their weights below `deit.`."""
    classifier = transformers.DeiTForImageClassificationWithTeacher(SMALL_DEIT)
    classifier.save_pretrained(tmp_path)
    model = DeiTAST(4, ONE_SECOND, RATE, checkpoint=str(tmp_path), stride=16)
    weight = classifier.deit.embeddings.cls_token
    assert any(torch.equal(weight, p) for p in model.parameters() if p.shape == weight.shape)
