"""The loop on a tiny network: it learns, resumes exactly, stops on nonsense."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from lib.config import load_config
from lib.models.mstgt import MSTGT, HiViTSpec
from lib.train.actors.mstgt import MSTGTActor
from lib.train.data.loader import EpochOrder, Samples, make_loader
from lib.train.data.processing import CropSettings, Processing
from lib.train.data.sampler import CausalSampler
from lib.train.distributed import Group
from lib.train.losses import TrackingLoss
from lib.train.optim import make_optimizer, rate_factor
from lib.train.trainers.state import newest_checkpoint, read_checkpoint
from lib.train.trainers.trainer import Trainer
from lib.utils.errors import UserError
from lib.utils.runs import checkpoint_path, list_checkpoints
from tests.train.conftest import memory_set

ALONE = Group(0, 1, torch.device("cpu"))
PROCESSING = Processing(CropSettings(64, 2.0, 0, 0), CropSettings(128, 4.0, 1.0, 0.1), (4.0, 4.0))


def settings(*overrides: str):
    return load_config("MSTGT", "MSTGT-nano-128", [
        "TRAIN.EPOCH=3", "TRAIN.BATCH_SIZE=4", "TRAIN.NUM_WORKER=0", "TRAIN.WARMUP_STEPS=2", "TRAIN.PRINT_INTERVAL=2",
        "TRAIN.VAL_EPOCH_INTERVAL=2", "TRAIN.LR=3e-3", *overrides])


def make_trainer(cfg, videos, folder) -> Trainer:
    torch.manual_seed(0)
    network = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 64, 128, head_channels=8, prior_prob=0.08, init="xavier")
    samples = Samples(CausalSampler([videos], [1], 2, 200), PROCESSING, 16, cfg.TRAIN.EPOCH, seed=1)
    loaders = [make_loader(samples, EpochOrder(16, 4), 0) for _ in range(2)]
    actor = MSTGTActor(network, TrackingLoss(), cfg.DATA.MEAN, cfg.DATA.STD, ALONE.device)
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(cfg, network, actor, make_optimizer(network, cfg), *loaders, folder, ALONE)


@pytest.fixture
def videos(disk_set):
    return memory_set(*(disk_set[i] for i in range(3)))  # without the broken one


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {n: v.clone() for n, v in trainer.network.state_dict().items()}


def test_training_lowers_the_loss_and_leaves_its_traces(videos, tmp_path):
    trainer = make_trainer(settings("TRAIN.EPOCH=12", "TRAIN.PRINT_INTERVAL=4"), videos, tmp_path / "run")
    trainer.fit()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "train" in line]
    assert epochs[-1]["train"]["total"] < 0.9 * epochs[0]["train"]["total"]
    assert [("val" in e) for e in epochs] == [False, True] * 6
    assert [p.name for p in list_checkpoints(tmp_path / "run")] == [f"MSTGT_ep{i:04d}.pth.tar" for i in range(1, 13)]


def test_a_resumed_run_ends_where_the_undisturbed_one_does(videos, tmp_path):
    whole = make_trainer(settings(), videos, tmp_path / "whole")
    whole.fit()
    second = make_trainer(settings(), videos, tmp_path / "second")
    second.load_state(read_checkpoint(checkpoint_path(tmp_path / "whole", 1)))
    second.fit()
    assert second.epoch == 3
    for name, value in weights(whole).items():
        assert torch.equal(value, second.network.state_dict()[name]), name


def test_a_torn_checkpoint_is_named_and_the_one_before_is_used(videos, tmp_path, caplog):
    trainer = make_trainer(settings("TRAIN.EPOCH=2"), videos, tmp_path)
    trainer.fit()
    last = checkpoint_path(tmp_path, 2)
    last.write_bytes(last.read_bytes()[:2000])
    with caplog.at_level(logging.WARNING):
        assert newest_checkpoint(tmp_path)["epoch"] == 1
    assert "MSTGT_ep0002.pth.tar" in caplog.text


def test_a_foreign_checkpoint_cannot_be_resumed(tmp_path):
    torch.save({"net": {}}, tmp_path / "other.pth.tar")
    with pytest.raises(UserError, match="other.pth.tar cannot be resumed: it lacks optimizer"):
        read_checkpoint(tmp_path / "other.pth.tar")


def test_a_loss_that_is_no_number_stops_the_run(videos, tmp_path):
    trainer = make_trainer(settings(), videos, tmp_path)
    with torch.no_grad():
        trainer.network.norm.weight[0] = float("nan")
    before = weights(trainer)
    with pytest.raises(UserError, match=r"the loss is nan at epoch 1, step 0.*video\d"):
        trainer.fit()
    same = [torch.equal(v, before[n]) for n, v in weights(trainer).items() if v.isfinite().all()
            and "running" not in n and "tracked" not in n]
    assert all(same) and same


def test_too_many_unreadable_frames_stop_the_run(disk_set, tmp_path):
    trainer = make_trainer(settings("TRAIN.EPOCH=20"), memory_set(disk_set[3], disk_set[0]), tmp_path)
    with pytest.raises(UserError, match=r"could not be read.*video3/00000003.jpg"):
        trainer.fit()


def test_the_schedules():
    step = settings("TRAIN.SCHEDULER.TYPE=step", "TRAIN.EPOCH=10", "TRAIN.LR_DROP_EPOCH=5", "TRAIN.WARMUP_STEPS=4")
    assert [rate_factor(s, 10, step) for s in (0, 1, 3, 49)] == [0.25, 0.5, 1.0, 1.0]
    assert rate_factor(50, 10, step) == pytest.approx(0.1)
    cosine = settings("TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.EPOCH=10", "TRAIN.WARMUP_STEPS=0")
    assert rate_factor(0, 10, cosine) == 1.0 and rate_factor(50, 10, cosine) == pytest.approx(0.5)
    assert rate_factor(100, 10, cosine) == pytest.approx(0)


def test_the_backbone_has_its_own_rate():
    cfg = settings("TRAIN.BACKBONE_MULTIPLIER=0.1")
    network = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 64, 128, head_channels=8)
    head, rest = make_optimizer(network, cfg).param_groups
    assert (head["scale"], rest["scale"]) == (1.0, 0.1)
    assert len(head["params"]) + len(rest["params"]) == len(list(network.parameters()))
    assert {id(p) for p in head["params"]} == {id(p) for p in network.head.parameters()}
