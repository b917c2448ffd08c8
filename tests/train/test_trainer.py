"""The loop on a tiny network: it learns, resumes exactly, stops on nonsense."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import time
import types

import pytest
import torch

from mstgt.config import load_config
from mstgt.config.paths import checkpoint_path, list_checkpoints
from mstgt.models.mstgt import MSTGT, HiViTSpec
from mstgt.models.mstgt.checkpoint import load_network
from mstgt.train import build
from mstgt.train.actors.mstgt import MSTGTActor
from mstgt.train.build import choose_precision
from mstgt.train.data.loader import DistributedBatchSampler, TrackingDataset, make_loader
from mstgt.train.data.processing import CropSettings, Processing
from mstgt.train.data.sampler import CausalSampler
from mstgt.train.distributed import Group
from mstgt.train.losses import TrackingLoss
from mstgt.train.optim import WeightAverage, lr_factor, make_optimizer
from mstgt.train.trainers.interruption import CheckpointInterval, StopRequest, TrainingInterrupted
from mstgt.train.trainers.loggers import wandb_logger
from mstgt.train.trainers.state import (
    BEST,
    METRICS,
    list_resumable,
    lock_run_folder,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
    truncate_records,
)
from mstgt.train.trainers.trainer import Trainer
from mstgt.utils.errors import UserError
from tests.train.conftest import memory_set

ALONE = Group(0, 1, torch.device("cpu"))
PROCESSING = Processing(CropSettings(64, 2.0, 0, 0), CropSettings(128, 4.0, 1.0, 0.1), (4.0, 4.0))


def settings(*overrides: str):
    return load_config("MSTGT", "MSTGT-demo-128", [
        "TRAIN.EPOCH=3", "TRAIN.BATCH_SIZE=4", "TRAIN.NUM_WORKER=0", "TRAIN.WARMUP_STEPS=2", "TRAIN.PRINT_INTERVAL=2",
        "TRAIN.VAL_EPOCH_INTERVAL=2", "TRAIN.LR=3e-3", *overrides])


def make_trainer(cfg, videos, folder, drop_path: float = 0.0, every: CheckpointInterval | None = None) -> Trainer:
    torch.manual_seed(0)
    network = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 64, 128, head_channels=8, prior_prob=0.08, init="xavier",
                    drop_path=drop_path)
    samples = TrackingDataset(CausalSampler([videos], [1], 2, 200), PROCESSING, 16, cfg.TRAIN.EPOCH, seed=1)
    loaders = [make_loader(samples, DistributedBatchSampler(16, 4), 0) for _ in range(2)]
    actor = MSTGTActor(TrackingLoss(), cfg.DATA.MEAN, cfg.DATA.STD, ALONE.device,
                       choose_precision(cfg.TRAIN.PRECISION, ALONE.device))
    ema = WeightAverage(network, cfg.TRAIN.EMA_DECAY) if cfg.TRAIN.EMA_DECAY else None
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(cfg, network, actor, make_optimizer(network, cfg), *loaders, folder, ALONE, ema=ema, every=every)


@pytest.fixture
def videos(disk_set):
    return memory_set(*(disk_set[i] for i in range(3)))  # without the broken one


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {n: v.clone() for n, v in trainer.network.state_dict().items()}


def test_training_lowers_the_loss_and_writes_its_files(videos, tmp_path):
    trainer = make_trainer(settings("TRAIN.EPOCH=12", "TRAIN.PRINT_INTERVAL=4"), videos, tmp_path / "run")
    trainer.fit()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "train" in line]
    assert epochs[-1]["train"]["total"] < 0.9 * epochs[0]["train"]["total"]
    assert [("val" in e) for e in epochs] == [False, True] * 6
    assert [p.name for p in list_checkpoints(tmp_path / "run")] == [f"MSTGT_ep{i:04d}.pth.tar" for i in (8, 10, 11, 12)]
    best = max((e for e in epochs if "val" in e), key=lambda e: e["val"]["iou"])
    assert read_checkpoint(tmp_path / "run" / BEST)["epoch"] == best["epoch"] == trainer.best["epoch"]
    assert [line["global_step"] for line in lines] == [s for e in range(1, 13) for s in (4 * e, 4 * e)]


def lines(folder) -> list[dict]:
    """The figures that do not depend on the clock."""
    found = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    for line in found:
        for part in (line, line.get("train", {}), line.get("val", {})):
            for clock in ("seconds", "samples_per_s", "data_wait"):
                part.pop(clock, None)
    return found


@pytest.mark.parametrize("stop_at", [2, 3, 11])  # in an epoch, at its end, before the last validation
def test_a_run_resumed_at_any_step_gives_the_weights_of_an_uninterrupted_one(videos, tmp_path, stop_at):
    """SIGTERM after ``stop_at`` steps of 12: the same weights, averages and figures as without it."""
    cfg = settings("TRAIN.EMA_DECAY=0.9", "TRAIN.PRINT_INTERVAL=1")

    def trainer(folder):
        return make_trainer(cfg, videos, folder, drop_path=0.3)

    whole = trainer(tmp_path / "whole")
    whole.fit()
    first = trainer(tmp_path / "cut")
    first.loggers = [lambda line: os.kill(os.getpid(), signal.SIGTERM) if line["global_step"] == stop_at else None]
    with pytest.raises(TrainingInterrupted, match="MSTGT_ep"):
        first.fit()
    assert first.epoch < 3
    with open(tmp_path / "cut" / METRICS, "a") as file:  # what a crash leaves behind
        file.write(json.dumps({"global_step": 999}) + '\n{"global_step": 3, "to')
    second = trainer(tmp_path / "cut")
    second.load_state(newest_checkpoint(tmp_path / "cut"))
    assert second.global_step == first.global_step
    second.fit()
    assert_same(whole.network.state_dict(), second.network.state_dict())
    assert_same(whole.ema.module.state_dict(), second.ema.module.state_dict())
    assert lines(tmp_path / "whole") == lines(tmp_path / "cut")
    assert not list((tmp_path / "cut").glob("*_step*"))


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_new_step_checkpoint_replaces_the_one_before(videos, tmp_path):
    trainer = make_trainer(settings("TRAIN.EPOCH=1"), videos, tmp_path, every=CheckpointInterval(steps=1))
    seen = []
    trainer.loggers = [lambda line: seen.append([p.name for p in list_resumable(tmp_path)])]
    trainer.fit()
    assert seen == [["MSTGT_ep0000_step000001.pth.tar"], ["MSTGT_ep0000_step000003.pth.tar"],
                    ["MSTGT_ep0000_step000004.pth.tar"]]
    assert [p.name for p in list_resumable(tmp_path)] == ["MSTGT_ep0001.pth.tar"]


def test_accumulation_averages_the_gradients_of_its_batches(videos, tmp_path):
    """Two batches a step: as many steps as fit, and the gradient is the mean of those of the batches alone."""
    trainer = make_trainer(settings("TRAIN.ACCUMULATE=2", "TRAIN.GRAD_CLIP_NORM=0", "TRAIN.EPOCH=1", "TRAIN.LR=0"),
                           videos, tmp_path)  # without a learning rate, a step leaves the weights as they are
    assert trainer.steps == 2
    trainer.network.train()
    batches = list(trainer.train)[:2]

    def gradients(chunk):
        trainer.train_step(chunk, StopRequest())
        trainer.step = 0
        return [p.grad.clone() for p in trainer.network.parameters()]

    both, alone = gradients(batches), [gradients([b]) for b in batches]
    for together, one, two in zip(both, *alone, strict=True):
        torch.testing.assert_close(together, (one + two) / 2, rtol=1e-4, atol=1e-6)
    trainer.fit()
    assert trainer.epoch == 1


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_lowers_the_loss_like_fp32(videos, tmp_path, precision):
    def last_loss(name):
        trainer = make_trainer(settings(f"TRAIN.PRECISION={name}", "TRAIN.EPOCH=6", "TRAIN.LR=1e-3"), videos,
                               tmp_path / name)
        trainer.fit()
        assert all(p.dtype == torch.float32 for p in trainer.network.parameters())
        return [line["train"]["total"] for line in lines(tmp_path / name) if "train" in line][-1]

    assert last_loss(precision) == pytest.approx(last_loss("fp32"), rel=0.1)


def test_fp16_skips_steps_whose_gradient_overflows(videos, tmp_path):
    trainer = make_trainer(settings("TRAIN.PRECISION=fp16", "TRAIN.EPOCH=1"), videos, tmp_path)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)  # the first gradients are infinite in fp16
    trainer.fit()
    assert trainer.scaler.get_scale() < 2.0**60
    assert all(v.isfinite().all() for v in trainer.network.state_dict().values())


def test_an_infinite_gradient_stops_the_run_before_the_weights_change(videos, tmp_path):
    trainer = make_trainer(settings(), videos, tmp_path)
    trainer.network.head.box[-1].weight.register_hook(lambda g: g * float("inf"))
    before = [p.clone() for p in trainer.network.parameters()]
    with pytest.raises(UserError, match=r"its gradient (nan|inf) at epoch 1, step 0"):
        trainer.fit()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.network.parameters(), strict=True))


def test_trackers_load_the_averaged_weights(videos, tmp_path):
    trainer = make_trainer(settings("TRAIN.EMA_DECAY=0.5", "TRAIN.EPOCH=1"), videos, tmp_path)
    trainer.fit()
    loaded = make_trainer(settings(), videos, tmp_path / "other").network
    load_network(loaded, checkpoint_path(tmp_path, 1))
    assert_same(trainer.ema.module.state_dict(), loaded.state_dict())
    assert not torch.equal(loaded.norm.weight, trainer.network.norm.weight)


def test_grad_checkpointing_does_not_change_gradients(videos, tmp_path):
    def gradients(grad_checkpointing):
        trainer = make_trainer(settings(), videos, tmp_path / str(grad_checkpointing), drop_path=0.5)
        trainer.network.train()
        trainer.network.backbone.grad_checkpointing = grad_checkpointing
        trainer.train_step([next(iter(trainer.train))], StopRequest())
        return [p.grad for p in trainer.network.parameters()]

    for kept, computed_again in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(kept, computed_again, rtol=1e-5, atol=1e-7)


def test_a_full_disk_keeps_the_previous_checkpoint(videos, tmp_path):
    """The limit on the size of a file stands in for the full disk: both fail in the middle of the write."""
    trainer = make_trainer(settings("TRAIN.EPOCH=1"), videos, tmp_path)
    trainer.fit()
    size = checkpoint_path(tmp_path, 1).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*MSTGT_ep0002.pth.tar: (File too large|No space left)"):
            save_checkpoint(checkpoint_path(tmp_path, 2), trainer.state())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert newest_checkpoint(tmp_path)["epoch"] == 1
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(("text", "due"), [("3", [3, 6, 9]), ("0s", None), ("never", []), ("2h", []), ("x", None)])
def test_checkpoint_intervals_are_parsed(text, due):
    if due is None:
        with pytest.raises(UserError, match="is not an interval"):
            CheckpointInterval.parse(text)
    else:
        every = CheckpointInterval.parse(text)
        assert [step for step in range(1, 11) if every.due(step)] == due


def test_a_time_interval_is_due_once_after_it_has_passed():
    every = CheckpointInterval(seconds=0.05)
    time.sleep(0.06)
    assert [every.due(1), every.due(2)] == [True, False]


def test_a_truncated_checkpoint_is_reported_and_the_previous_one_used(videos, tmp_path, caplog):
    trainer = make_trainer(settings("TRAIN.EPOCH=2"), videos, tmp_path)
    trainer.fit()
    last = checkpoint_path(tmp_path, 2)
    last.write_bytes(last.read_bytes()[:2000])
    with caplog.at_level(logging.WARNING):
        assert newest_checkpoint(tmp_path)["epoch"] == 1
    assert "MSTGT_ep0002.pth.tar" in caplog.text


def test_the_run_folder_is_locked_and_temporary_files_of_a_killed_run_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("mstgt.train.trainers.state.LOCK_WAIT_S", 0.2)
    run = tmp_path / "run"
    (run / ".best.x").mkdir(parents=True)
    (run / ".MSTGT_ep0001.pth.abc.tar").write_bytes(b"half")
    (run / "config.yaml").write_text("")
    with lock_run_folder(run):
        assert [p.name for p in run.iterdir()] == ["config.yaml"]
        with pytest.raises(UserError, match="another process trains in"), lock_run_folder(run):
            pass
    with lock_run_folder(run):
        pass


def test_a_checkpoint_of_another_program_cannot_be_resumed(tmp_path):
    torch.save({"net": {}}, tmp_path / "other.pth.tar")
    with pytest.raises(UserError, match="other.pth.tar cannot be resumed: it lacks optimizer"):
        read_checkpoint(tmp_path / "other.pth.tar")


def test_a_loss_that_is_not_finite_stops_the_run(videos, tmp_path):
    trainer = make_trainer(settings(), videos, tmp_path)
    with torch.no_grad():
        trainer.network.norm.weight[0] = float("nan")
    before = weights(trainer)
    with pytest.raises(UserError, match=r"the loss is nan.* at epoch 1, step 0; .*: none; batch: video\d"):
        trainer.fit()
    same = [torch.equal(v, before[n]) for n, v in weights(trainer).items() if v.isfinite().all()
            and "running" not in n and "tracked" not in n]
    assert all(same) and same


def test_too_many_unreadable_frames_stop_the_run(disk_set, tmp_path):
    trainer = make_trainer(settings("TRAIN.EPOCH=20"), memory_set(disk_set[3], disk_set[0]), tmp_path)
    with pytest.raises(UserError, match=r"could not be read.*video3/00000003.jpg"):
        trainer.fit()


def test_learning_rate_schedules():
    step = settings("TRAIN.SCHEDULER.TYPE=step", "TRAIN.EPOCH=10", "TRAIN.LR_DROP_EPOCH=5", "TRAIN.WARMUP_STEPS=4")
    assert [lr_factor(s, 10, step) for s in (0, 1, 3, 49)] == [0.25, 0.5, 1.0, 1.0]
    assert lr_factor(50, 10, step) == pytest.approx(0.1)
    cosine = settings("TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.EPOCH=10", "TRAIN.WARMUP_STEPS=0")
    assert lr_factor(0, 10, cosine) == 1.0 and lr_factor(50, 10, cosine) == pytest.approx(0.5)
    assert lr_factor(100, 10, cosine) == pytest.approx(0)


def test_parameter_groups_have_their_own_learning_rates():
    cfg = settings("TRAIN.BACKBONE_MULTIPLIER=0.1")
    network = MSTGT(HiViTSpec(32, (1, 1, 2), 2), 64, 128, head_channels=8)
    head, rest = make_optimizer(network, cfg).param_groups
    assert (head["scale"], rest["scale"]) == (1.0, 0.1)
    assert len(head["params"]) + len(rest["params"]) == len(list(network.parameters()))
    assert {id(p) for p in head["params"]} == {id(p) for p in network.head.parameters()}


def test_a_precision_that_the_cpu_is_slow_in_gives_a_warning(monkeypatch, caplog):
    cpu = torch.device("cpu")
    for has_it, said in ((True, False), (False, True)):
        monkeypatch.setattr(build, "is_fast_in", lambda dtype, device, has_it=has_it: has_it)
        caplog.clear()
        assert choose_precision("bf16", cpu) == torch.bfloat16
        assert ("TRAIN.PRECISION=bf16: this CPU has no instructions for bf16" in caplog.text) == said
        caplog.clear()
        assert choose_precision("auto", cpu) == (None if said else torch.bfloat16)
        assert choose_precision("fp32", cpu) is None and not caplog.text


def test_sigterm_ends_a_wait_for_data(videos, tmp_path):
    """A loader that never returns: the run saves and stops instead of waiting for ever."""
    trainer = make_trainer(settings(), videos, tmp_path)
    batches = list(trainer.train)[:2]

    class Stuck:
        batch_sampler = trainer.train.batch_sampler

        def __len__(self):
            return 4

        def __iter__(self):
            yield from batches
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                time.sleep(0.01)

    trainer.train = Stuck()
    with pytest.raises(TrainingInterrupted, match="after 2 steps of epoch 1"):
        trainer.fit()
    assert [p.name for p in list_resumable(tmp_path)] == ["MSTGT_ep0000_step000002.pth.tar"]


def test_wandb_without_a_login_is_a_user_error(monkeypatch, tmp_path):
    def init(**_options):
        raise fake.Error("api_key not configured (no-tty).\ncall wandb.login(key=[your_api_key])")

    fake = types.SimpleNamespace(Error=type("Error", (Exception,), {}), run=None, init=init)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    log = wandb_logger("name", {}, tmp_path / "run")
    with pytest.raises(UserError, match="cannot start a run: api_key not configured.*wandb login") as error:
        log({"global_step": 1})
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install wandb"):
        wandb_logger("name", {}, tmp_path)


def test_no_warning_about_missing_records_within_the_first_epoch(tmp_path, caplog):
    """A checkpoint may come before the first record; after a whole epoch there must be some."""
    truncate_records(tmp_path, 5, 0)
    assert not caplog.records
    truncate_records(tmp_path, 50, 1)
    assert "has no records of the 50 steps" in caplog.text
