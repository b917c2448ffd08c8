"""Weights from files: published, pre-trained, our own; and files that are none of these."""

from __future__ import annotations

import os
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mstgt.config.backbones import BACKBONES
from mstgt.models.mstgt import MSTGT, HiViTSpec
from mstgt.models.mstgt.checkpoint import load_file, load_network, load_pretrained, resize_positions, save_weights
from mstgt.models.mstgt.reference import build_reference_model, read_reference
from mstgt.utils.errors import UserError

REFERENCE = Path(__file__).parents[1] / "data" / "mstgt_small.npz"
SPEC = HiViTSpec(32, (1, 1, 2), 2)


@pytest.fixture(scope="module")
def published():
    arrays = read_reference(REFERENCE)
    state = {n[6:]: torch.from_numpy(v) for n, v in arrays.items() if n.startswith("state/")}
    return build_reference_model(arrays, "reference"), state


def fresh() -> MSTGT:
    return MSTGT(SPEC, 64, 128, head_channels=8)


def blank(like: MSTGT) -> MSTGT:
    return MSTGT(like.spec, like.template_size, like.search_size, head_channels=16)


def same(a: MSTGT, b: MSTGT) -> bool:
    return all(torch.equal(v, b.state_dict()[n]) for n, v in a.state_dict().items())


def test_published_checkpoints_load(published, tmp_path):
    model, state = published
    torch.save({"epoch": 148, "net": state}, tmp_path / "MSTGT_ep0148.pth.tar")
    other = blank(model)
    load_network(other, tmp_path / "MSTGT_ep0148.pth.tar")
    assert same(model, other)


def test_published_checkpoints_of_the_earlier_variant_load(published, tmp_path):
    model, state = published
    old = {n.replace("MSVC", "MSPG").replace("MSTG.", "STPG."): v for n, v in state.items()}
    torch.save({"net": {f"module.{n}": v for n, v in old.items()}}, tmp_path / "old.pth.tar")
    other = blank(model)
    load_network(other, tmp_path / "old.pth.tar")
    assert same(model, other)


def test_own_checkpoints_load(tmp_path):
    model = fresh()
    torch.save({"net": model.state_dict()}, tmp_path / "own.pth.tar")
    other = fresh()
    load_network(other, tmp_path / "own.pth.tar")
    assert same(model, other)


@pytest.mark.parametrize(("change", "named"), [
    (lambda s: s.pop("backbone.STE_norm.bias"), "missing guidance.norm.bias"),
    (lambda s: s.update({"backbone.other.weight": torch.zeros(1)}), "backbone.other.weight"),
    (lambda s: s.update({"backbone.norm_.bias": torch.zeros(3)}), r"norm.bias \(3,\) for \(64,\)"),
])
def test_mismatched_weights_are_errors_that_name_them(published, tmp_path, change, named):
    model, state = published
    state = dict(state)
    change(state)
    torch.save({"net": state}, tmp_path / "bad.pth.tar")
    with pytest.raises(UserError, match=named):
        load_network(blank(model), tmp_path / "bad.pth.tar")


def test_bookkeeping_entries_of_published_checkpoints_are_ignored(published, tmp_path, monkeypatch):
    model, state = published
    module = types.ModuleType("lib.train.admin.settings")
    module.Settings = type("Settings", (), {"__module__": module.__name__})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings = module.Settings()
    settings.save_dir = "./output"
    torch.save({"net": state, "settings": settings}, tmp_path / "MSTGT_ep0148.pth.tar")
    monkeypatch.delitem(sys.modules, module.__name__)
    other = blank(model)
    load_network(other, tmp_path / "MSTGT_ep0148.pth.tar")
    assert same(model, other)


class Payload:
    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_checkpoint_never_runs_code(tmp_path):
    torch.save({"net": Payload(str(tmp_path / "pwned"))}, tmp_path / "evil.pth.tar")
    with pytest.raises(UserError, match="evil.pth.tar is refused"):
        load_network(fresh(), tmp_path / "evil.pth.tar")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"hello world", b"\x80\x02}q\x00."])
def test_truncated_and_external_files_are_errors_that_name_the_file(tmp_path, content):
    (tmp_path / "x.pth.tar").write_bytes(content)
    with pytest.raises(UserError, match="x.pth.tar"):
        load_network(fresh(), tmp_path / "x.pth.tar")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, bytes, dict[str, torch.Tensor]]:
    """A checkpoint, its bytes, and the weights in it."""
    path = tmp_path_factory.mktemp("damage") / "one.pth.tar"
    weights = dict(fresh().state_dict())
    torch.save({"net": weights}, path)
    return path, path.read_bytes(), weights


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_checkpoint_cut_short_is_refused_in_one_line(written, share):
    path, whole, _ = written
    path.write_bytes(whole[:int(share * len(whole))])
    for load in (load_network, load_pretrained):
        with pytest.raises(UserError, match="one.pth.tar cannot be read: .*again") as error:
            load(fresh(), path)
        assert "\n" not in str(error.value)


def test_a_weight_that_has_changed_on_the_disk_is_refused_in_one_line(written):
    path, whole, weights = written
    at = whole.index(weights["backbone.blocks.0.mlp.fc1.weight"].numpy().tobytes())
    path.write_bytes(whole[:at + 5] + bytes([whole[at + 5] ^ 1]) + whole[at + 6:])
    for load in (load_network, load_pretrained):
        with pytest.raises(UserError, match="one.pth.tar cannot be read: .*not match its checksum.*again") as error:
            load(fresh(), path)
        assert "\n" not in str(error.value)


@settings(max_examples=40)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_whatever_byte_changes_the_weights_are_those_that_were_written(written, share, change):
    path, whole, weights = written
    at = int(share * len(whole))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1:])
    try:
        found = load_file(path)["net"]
    except UserError as error:
        assert "one.pth.tar" in str(error)
    else:
        assert found.keys() == weights.keys() and all(torch.equal(found[name], weights[name]) for name in weights)


def encoder(model: MSTGT) -> dict[str, torch.Tensor]:
    state = {n: torch.randn_like(v) for n, v in model.backbone.state_dict().items() if not n.startswith("pos_embed")}
    return state | {"absolute_pos_embed": torch.randn(1, 196, model.spec.dim)}


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s}])
def test_pretrained_backbones_load(tmp_path, wrap):
    model = fresh()
    state = encoder(model)
    extra = {n: torch.zeros(2) for n in ("decoder_blocks.0.mlp.fc1.weight", "mask_token", "head.weight")}
    torch.save(wrap(state | extra), tmp_path / "mae.pth")
    load_pretrained(model, tmp_path / "mae.pth")
    assert torch.equal(model.backbone.blocks[0].mlp.fc1.weight, state["blocks.0.mlp.fc1.weight"])
    assert torch.equal(model.backbone.pos_embed_x, resize_positions(state["absolute_pos_embed"], 8))


@pytest.mark.parametrize(("change", "named"), [
    (lambda s: s.pop("blocks.0.norm2.weight"), "missing blocks.0.norm2.weight"),
    (lambda s: s.pop("absolute_pos_embed"), "missing absolute_pos_embed"),
    (lambda s: s.update({"blocks.99.norm2.weight": torch.zeros(1)}), "unknown blocks.99"),
    (lambda s: s.update({"patch_embed.proj.bias": torch.zeros(5)}), "patch_embed.proj.bias"),
    (lambda s: s.update({"absolute_pos_embed": torch.zeros(1, 100, 32)}), "absolute_pos_embed"),
])
def test_mismatched_pretrained_weights_are_errors_that_name_them(tmp_path, change, named):
    model = fresh()
    state = encoder(model)
    change(state)
    torch.save(state, tmp_path / "mae.pth")
    with pytest.raises(UserError, match=named):
        load_pretrained(model, tmp_path / "mae.pth")


@pytest.mark.parametrize(("blocks", "given"), [(3, "0 1"), (4, "0 2"), (5, "0 2")])
def test_a_deeper_network_initialized_from_a_shallower_one_gives_its_outputs(tmp_path, blocks, given):
    """The file's two blocks keep their order, those between them do nothing yet and have gradients."""
    torch.manual_seed(0)
    shallow, deep = fresh().eval(), MSTGT(HiViTSpec(32, (1, 1, blocks), 2), 64, 128, head_channels=8).eval()
    torch.save({"net": shallow.state_dict()}, tmp_path / "net.pth.tar")
    load_pretrained(deep, tmp_path / "net.pth.tar")
    images = torch.randn(2, 3, 64, 64), torch.randn(3, 2, 3, 128, 128)
    expected, got = shallow(*images), deep(*images)
    for map_expected, map_got in zip(expected, got, strict=True):
        torch.testing.assert_close(map_got, map_expected, rtol=0, atol=1e-6)
    got.size.sum().backward()
    main = deep.backbone.blocks[deep.backbone.stem_length:]
    silent = [not block.mlp.fc2.weight.any() and not block.attn.proj.weight.any() for block in main]
    assert [str(i) for i, zero in enumerate(silent) if not zero] == given.split()
    assert all(block.mlp.fc2.weight.grad.any() for block in main)
    with pytest.raises(UserError, match=r"missing backbone\.blocks"):
        load_network(deep, tmp_path / "net.pth.tar")


@pytest.mark.parametrize(("trained", "wanted"), [
    ("{INIT: xavier}", None),
    ("{BACKBONE: {TYPE: 3}}", None),
    ("{BACKBONE: {TYPE: [a]}}", None),
    ("{ASYMMETRIC_ATTENTION: true}", "MODEL.ASYMMETRIC_ATTENTION=true: give --set MODEL.ASYMMETRIC_ATTENTION=true"),
    ("{BACKBONE: {TYPE: lite_nano}}", "MODEL.BACKBONE.TYPE=lite_nano: give --set MODEL.BACKBONE.TYPE=lite_nano"),
])
def test_a_checkpoint_of_another_network_names_the_setting(tmp_path, monkeypatch, trained, wanted):
    model, path = fresh(), tmp_path / "net.pth.tar"
    monkeypatch.setitem(BACKBONES, "small", model.spec)
    torch.save({"net": model.state_dict(), "config": f"MODEL: {trained}\n"}, path)
    if wanted:
        with pytest.raises(UserError, match=re.escape(f"net.pth.tar was trained with {wanted}")):
            load_network(model, path)
    else:
        load_network(model, path)
    load_pretrained(model, path)  # a training may go from one kind of attention to the other


def test_pretrained_weights_load_for_crops_of_another_size(tmp_path):
    small = fresh()
    torch.save({"net": small.state_dict()}, tmp_path / "net.pth.tar")
    large = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 96, 192, head_channels=8)
    load_pretrained(large, tmp_path / "net.pth.tar")
    assert torch.equal(large.norm.weight, small.norm.weight)
    assert large.backbone.pos_embed_x.shape == (1, 144, 32)
    with pytest.raises(UserError, match="pos_embed_x"):  # a tracker runs at the size that it was trained for
        load_network(large, tmp_path / "net.pth.tar")


@pytest.mark.parametrize("damage", [
    lambda s: s.pop("backbone.blocks.0.norm2.weight"), lambda s: s.pop("backbone.blocks.7.attn.proj.bias"),
    lambda s: s.update({f"backbone.blocks.{'9' * 5000}.x": torch.zeros(1)}),
    lambda s: s.update({"backbone.blocks.99.x": torch.zeros(1)}),
])
def test_corrupt_weights_of_a_shallower_network_are_refused(tmp_path, damage):
    state = fresh().state_dict()
    damage(state)
    torch.save({"net": state}, tmp_path / "net.pth.tar")
    with pytest.raises(UserError, match=r"does not fit the configured network: .*backbone\.blocks"):
        load_pretrained(MSTGT(HiViTSpec(32, (1, 1, 4), 2), 64, 128, head_channels=8), tmp_path / "net.pth.tar")


@pytest.mark.parametrize("ending", [".safetensors", ".pth.tar"])
def test_pretrained_weights_may_be_those_of_a_whole_tracker(tmp_path, ending):
    trained, started = fresh().half().float(), fresh()  # weights alone are kept in half precision
    if ending == ".safetensors":
        save_weights(trained, tmp_path / "net.safetensors", {})
    else:
        torch.save({"net": trained.state_dict(), "epoch": 3}, tmp_path / "net.pth.tar")
    load_pretrained(started, tmp_path / f"net{ending}")
    assert same(started, trained)
    other = MSTGT(HiViTSpec(48, (1, 1, 2), 2), 64, 128, head_channels=8)
    with pytest.raises(UserError, match=f"net{ending} does not fit the configured network") as error:
        load_pretrained(other, tmp_path / f"net{ending}")
    assert "\n" not in str(error.value)


def test_resizing_position_embeddings_keeps_constant_ones():
    assert torch.allclose(resize_positions(torch.full((1, 196, 4), 2.5), 8), torch.full((1, 64, 4), 2.5))


def test_weights_files_store_fp16(tmp_path):
    torch.manual_seed(1)
    one, two = MSTGT(SPEC, 64, 128, 16), MSTGT(SPEC, 64, 128, 16)
    save_weights(one, tmp_path / "net.safetensors", {"config": "x"})
    load_network(two, tmp_path / "net.safetensors")
    for name, value in two.state_dict().items():
        own = one.state_dict()[name]
        assert torch.equal(value, own.half().to(own.dtype)), name
    assert (tmp_path / "net.safetensors").stat().st_size < 2.3 * sum(p.numel() for p in one.parameters()) + 20_000


def test_a_truncated_weights_file_is_an_error_that_names_it(tmp_path):
    save_weights(MSTGT(SPEC, 64, 128, 16), tmp_path / "net.safetensors", {})
    whole = (tmp_path / "net.safetensors").read_bytes()
    for truncated in (whole[:-5], whole[:7], b""):
        (tmp_path / "net.safetensors").write_bytes(truncated)
        with pytest.raises(UserError, match="net.safetensors"):
            load_network(MSTGT(SPEC, 64, 128, 16), tmp_path / "net.safetensors")
