"""The network: parity with published numbers, explicit state, gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from mstgt.config import load_config
from mstgt.config.load import EXPERIMENTS_DIR
from mstgt.models.layers.transformer import Attention, GroupedAttention
from mstgt.models.mstgt import BACKBONES, MSTGT, HiViTSpec, build_model
from mstgt.models.mstgt.checkpoint import unused_published_parameters
from mstgt.models.mstgt.reference import build_reference_model, read_reference, replay
from mstgt.utils.errors import UserError

REFERENCE = Path(__file__).parents[1] / "data" / "mstgt_small.npz"
TINY = HiViTSpec(32, (1, 1, 2), 2)


KINDS = pytest.mark.parametrize("kind", [{"attention": "grouped"}, {"attention": "global"},
                                        {"attention": "grouped", "asymmetric": True}])


def tiny(**options) -> MSTGT:
    torch.manual_seed(0)
    return MSTGT(TINY, 64, 128, head_channels=8, **options)


def test_outputs_equal_the_recorded_ones_of_the_published_network():
    arrays = read_reference(REFERENCE)
    differences = dict(replay(build_reference_model(arrays, "reference"), arrays))
    assert len(differences) == 3 * 5 + 4
    assert max(differences.values()) <= 2e-5


def test_a_changed_weight_changes_the_recorded_outputs():
    arrays = dict(read_reference(REFERENCE))
    arrays["state/backbone.MSTG.weight"] = arrays["state/backbone.MSTG.weight"] * 1.01
    differences = dict(replay(build_reference_model(arrays, "reference"), arrays))
    assert max(differences.values()) > 1e-4


def test_a_reference_with_an_unknown_weight_is_refused():
    arrays = dict(read_reference(REFERENCE))
    arrays["state/backbone.surprise"] = arrays["meta"]
    with pytest.raises(UserError, match="surprise"):
        build_reference_model(arrays, "reference")


def test_number_of_parameters_of_the_full_network():
    with torch.device("meta"):
        model = MSTGT(BACKBONES["hivit_base"], 128, 256)
    trained = sum(p.numel() for p in model.parameters())
    assert round((trained + unused_published_parameters(model)) / 1e6, 1) == 74.0


@KINDS
def test_compiled_training_has_the_same_gradients(kind):
    """As far as tracing, which is where versions of PyTorch differ."""
    model, template, searches = tiny(**kind), torch.randn(2, 3, 64, 64), torch.randn(3, 2, 3, 128, 128)

    def gradients(network) -> list[torch.Tensor]:
        prediction = network(template, searches)
        return list(torch.autograd.grad(sum(part.sum() for part in prediction), list(model.parameters())))

    plain = gradients(model)
    for one, other in zip(plain, gradients(torch.compile(model, backend="eager", fullgraph=True)), strict=True):
        torch.testing.assert_close(other, one)


@KINDS
def test_forward_sequence_equals_frame_by_frame_tracking(kind):
    model = tiny(**kind).eval()
    template, searches = torch.randn(2, 3, 64, 64), torch.randn(3, 2, 3, 128, 128)
    with torch.no_grad():
        folded = model(template, searches)
        state = model.init_state(template)
        for t in range(3):
            prediction, state = model.forward_frame(searches[t], state)
            for whole, single in zip(folded, prediction, strict=True):
                torch.testing.assert_close(whole[2 * t : 2 * t + 2], single, atol=1e-5, rtol=1e-5)


def test_samples_of_a_batch_do_not_affect_each_other():
    model = tiny(attention="global").eval()
    templates, searches = torch.randn(2, 3, 64, 64), torch.randn(2, 2, 3, 128, 128)
    with torch.no_grad():
        together = model(templates, searches)
        alone = [model(templates[i : i + 1], searches[:, i : i + 1]) for i in range(2)]
    for i in range(2):
        torch.testing.assert_close(together.score[i::2], alone[i].score, atol=1e-5, rtol=1e-5)


def test_the_network_holds_no_state_between_calls():
    model = tiny(attention="global").eval()
    state = model.init_state(torch.randn(1, 3, 64, 64))
    search = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        first, after = model.forward_frame(search, state)
        model.forward_frame(torch.randn(1, 3, 128, 128), after)
        again, _ = model.forward_frame(search, state)
    assert torch.equal(first.score, again.score)


def test_the_state_changes_the_prediction():
    model = tiny(attention="global").eval()
    state = model.init_state(torch.randn(1, 3, 64, 64))
    search = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        first, after = model.forward_frame(search, state)
        second, _ = model.forward_frame(search, after)
    assert not torch.equal(first.offset, second.offset)


@KINDS
def test_every_parameter_gets_a_gradient(kind):
    model = tiny(**kind)
    prediction = model(torch.randn(2, 3, 64, 64), torch.randn(2, 2, 3, 128, 128))
    sum(p.square().sum() for p in prediction).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # what batch normalization subtracts again, and what softmax cancels, is zero only up to rounding: all have one
    assert silent == []


def test_asymmetric_attention_is_attention_with_a_mask():
    torch.manual_seed(0)
    model = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 64, 128, head_channels=16, attention="global", asymmetric=True).eval()
    with torch.no_grad():
        template, search = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 128, 128)
        state = model.update_state(model.embed_search(model.backbone.forward_stem(search)), model.init_state(template))
        x = model.embed_search(model.backbone.forward_stem(torch.randn(2, 3, 128, 128)))
        parts = [model.cue(template), state.template, model.guidance.prompt(state.guidance), x]
        # Cues and template attend to themselves, the guidance tokens also to these, the search tokens to all.
        level = torch.cat([torch.full((part.shape[1],), n) for part, n in zip(parts, (0, 0, 1, 2), strict=True)])
        sees = level[:, None] >= level
        for block in model.backbone.blocks[model.backbone.stem_length:]:
            block.attn.attend = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, sees)
        expected = model.backbone.forward_blocks(torch.cat(parts, dim=1))[:, -x.shape[1]:]
        for block in model.backbone.blocks[model.backbone.stem_length:]:
            del block.attn.attend
        torch.testing.assert_close(model.attend(state, x), expected, atol=1e-5, rtol=1e-5)


def test_grouped_attention_equals_its_definition():
    torch.manual_seed(0)
    b, n, c, heads = 2, 12, 16, 4
    layer = GroupedAttention(c, heads)
    x = torch.randn(b, n, c)
    qkv = layer.qkv(x).view(b, n, 3, 2, c // 2)
    halves = []
    m, d = n // 3, c // heads
    for half in range(2):
        out = torch.empty(b, m, heads // 2, 3, d)
        for j in range(m):
            for h in range(heads // 2):
                q, k, v = (qkv[:, [j, j + m, j + 2 * m], i, half, h * d : (h + 1) * d] for i in range(3))
                out[:, j, h] = torch.softmax(q @ k.transpose(1, 2) / d**0.5, -1) @ v
        halves.append(out.reshape(b, n, c // 2))
    torch.testing.assert_close(layer(x), layer.proj(torch.cat(halves, -1)))


def test_checkpoints_load_with_either_attention():
    assert {n: p.shape for n, p in Attention(16, 4).named_parameters()} == {
        n: p.shape for n, p in GroupedAttention(16, 4).named_parameters()}


def test_decode_boxes_reads_the_cell_with_the_highest_score():
    model = tiny().eval()
    with torch.no_grad():
        prediction, _ = model.forward_frame(torch.randn(1, 3, 128, 128), model.init_state(torch.randn(1, 3, 64, 64)))
    prediction.score[:] = 0.1
    prediction.score[0, 0, 5, 3] = 0.9
    box, score = prediction.decode_boxes()
    expected = [(3 + prediction.offset[0, 0, 5, 3]) / 8, (5 + prediction.offset[0, 1, 5, 3]) / 8,
                *prediction.size[0, :, 5, 3]]
    torch.testing.assert_close(box[0], torch.stack([torch.as_tensor(v) for v in expected]))
    assert score.item() == pytest.approx(0.9)
    window = torch.ones(8, 8)
    window[5, 3] = 0.01
    assert prediction.decode_boxes(window)[1].item() == pytest.approx(0.1)


def test_a_narrow_search_region_is_the_middle_of_the_ordinary_one():
    torch.manual_seed(0)
    model = MSTGT(HiViTSpec(32, (1, 1, 1), 2), 64, 128, head_channels=16, attention="global").eval()
    search = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        cells = model.backbone.forward_stem(search)
        whole, part = model.embed_search(cells), model.embed_search(cells[:, 2:6, 2:6])
        assert torch.equal(whole.unflatten(1, (8, 8))[:, 2:6, 2:6].flatten(1, 2), part)
        # A head that answers the same everywhere gives boxes of the same size in px.
        model.head.box[-1].weight.zero_()
        state = model.init_state(torch.randn(1, 3, 64, 64))
        frames = [model.forward_frame(image, state) for image in (search, search[..., 32:96, 32:96])]
    assert torch.allclose(*(prediction.size[0, :, 0, 0] * side for (prediction, _), side in zip(frames, (128, 64),
                                                                                             strict=True)))
    assert list(frames[0][1].changed_since(state)) == ["guidance"]
    assert frames[1][1] is state  # what moves little needs no new guidance


def test_initial_scores_of_the_head_equal_its_prior():
    model = tiny(prior_prob=0.08).eval()
    with torch.no_grad():
        prediction, _ = model.forward_frame(torch.randn(1, 3, 128, 128), model.init_state(torch.randn(1, 3, 64, 64)))
    assert abs(prediction.score.mean().item() - 0.08) < 0.02


def test_a_template_with_an_odd_grid_runs():
    model = MSTGT(TINY, 112, 224, head_channels=8).eval()
    with torch.no_grad():
        state = model.init_state(torch.randn(1, 3, 112, 112))
        prediction, state = model.forward_frame(torch.randn(1, 3, 224, 224), state)
    assert prediction.score.shape == (1, 1, 14, 14) and state.guidance.shape == (1, 49, 32)


@pytest.mark.parametrize("sizes", [(60, 128), (64, 120), (32, 64)])
def test_invalid_sizes_are_refused(sizes):
    with pytest.raises(ValueError):
        MSTGT(TINY, *sizes)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXPERIMENTS_DIR.glob("*/*.yaml")))
def test_every_experiment_builds(name):
    with torch.device("meta"):
        model = build_model(load_config("MSTGT", name))
    assert model.grid == model.search_size // 16


@pytest.mark.parametrize("kind", ["hivit_tiny", "hivit_small"])
def test_the_other_variants_run(kind):
    model = MSTGT(BACKBONES[kind], 64, 128, head_channels=16).eval()
    with torch.no_grad():
        state = model.init_state(torch.randn(1, 3, 64, 64))
        prediction, state = model.forward_frame(torch.randn(1, 3, 128, 128), state)
    assert prediction.score.shape == (1, 1, 8, 8) and state.guidance.shape == (1, 16, 384)
