"""The training loop: epochs of steps, validation, lines of figures, checkpoints.

Knows batches, an actor, an optimizer and a folder; nothing of videos or networks' insides. Where it stands is
(``epoch``, ``step``): epochs finished, optimizer steps of the next one. Nothing else decides what the next step does:
samples, random numbers and learning rate are functions of it, so a run that goes on from a checkpoint in the middle of
an epoch ends with the weights of one that was never stopped.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import nn

from ...config import dump_config
from ...models.mstgt.checkpoint import load_strict
from ...utils.checkpoint_paths import checkpoint_path
from ...utils.errors import UserError
from ...utils.progress import progress
from ...utils.version import code_version
from ...visualize.training_curves import draw_curves
from ..actors.mstgt import MSTGTActor
from ..data.loader import Batch, mixing_active
from ..distributed import Group
from ..optim import load_optimizer, lr_factor, set_lr
from . import state as run_state
from .interruption import CheckpointInterval, TrainingInterrupted, catch_sigterm
from .meter import Meter, means_of

_log = logging.getLogger(__name__)
UNREADABLE_LIMIT = 0.01  # share of an epoch's samples that may meet an unreadable frame


class Trainer:
    """Trains ``network`` through ``actor`` for ``cfg.TRAIN.EPOCH`` epochs.

    network      the plain module whose weights are saved; ``actor.network`` may wrap it
    train, val   loaders whose ``batch_sampler`` has ``epoch`` and ``first_step``; ``val`` may be None
    folder       where checkpoints and figures go; only the leading process writes
    loggers    get every line of figures too
    every        when to save between two epochs
    """

    def __init__(self, cfg: Any, network: nn.Module, actor: MSTGTActor, optimizer: torch.optim.Optimizer,
                 train: Any, val: Any, folder: Path, group: Group,
                 loggers: Sequence[Callable[[dict[str, Any]], object]] = (), every: CheckpointInterval | None = None):
        self.cfg, self.network, self.actor, self.optimizer = cfg, network, actor, optimizer
        self.train, self.val, self.folder, self.group = train, val, folder, group
        self.loggers, self.every = loggers, every or CheckpointInterval()
        self.ema = ModelEmaV3(network, cfg.TRAIN.EMA_DECAY) if cfg.TRAIN.EMA_DECAY else None
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=actor.precision == torch.float16)
        self.epoch = self.step = 0
        self.steps = len(train) // cfg.TRAIN.ACCUMULATE
        self.meter = Meter()
        self.best: dict[str, float] | None = None
        if not self.steps:
            raise UserError(f"an epoch has fewer samples ({cfg.DATA.TRAIN.SAMPLE_PER_EPOCH}) than one step takes "
                            f"({cfg.TRAIN.BATCH_SIZE * cfg.TRAIN.ACCUMULATE * group.world}); raise "
                            "DATA.TRAIN.SAMPLE_PER_EPOCH or lower TRAIN.BATCH_SIZE")
        if val is not None and not len(val):
            raise UserError("DATA.VAL.SAMPLE_PER_EPOCH is less than one batch of all processes; raise it")

    @property
    def global_step(self) -> int:
        """Optimizer steps since the run began."""
        return self.epoch * self.steps + self.step

    def fit(self) -> None:
        """Train what is left. Raises :class:`TrainingInterrupted` when SIGTERM has come and all is saved."""
        with catch_sigterm() as asked:
            while self.epoch < self.cfg.TRAIN.EPOCH:
                self._train_epoch(asked)
                due = (self.epoch + 1) % self.cfg.TRAIN.VAL_EPOCH_INTERVAL == 0 or \
                    self.epoch + 1 == self.cfg.TRAIN.EPOCH
                self._finish_epoch(self._validate(asked) if self.val is not None and due else None)

    def state(self) -> dict[str, Any]:
        """All that other processes need to go on from here (:mod:`state`). All processes must call it."""
        return {
            "net": self.network.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "meter": self.meter.state(self.group),
            "best": self.best,
            "config": dump_config(self.cfg),
            "code": code_version(),
            "world": self.group.world,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave, in as many processes or in another number of them.

        Raises :class:`UserError` where it does not fit the network.
        """
        load_strict(self.network, state["net"], "the checkpoint")
        if self.ema:
            load_strict(self.ema.module, state["ema"] or state["net"], "the checkpoint")
        load_optimizer(self.optimizer, state["optimizer"])
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.step, self.best = state["epoch"], state["step"], state["best"]
        if state["world"] != self.group.world:
            self.step = self.step * state["world"] // self.group.world
            _log.warning("the checkpoint is of %d processes and this run has %d: it goes on with a batch of another "
                         "size", state["world"], self.group.world)
        # what the last step left, for a run that goes on where no step is left of the epoch
        set_lr(self.optimizer, self.cfg.TRAIN.LR * lr_factor(max(0, self.global_step - 1), self.steps, self.cfg))
        self.meter = Meter(state["meter"] if self.group.is_main_process else None)
        if self.group.is_main_process:
            run_state.cut_metrics(self.folder, self.global_step, self.epoch)

    def _train_epoch(self, asked: Callable[[], bool]) -> None:
        """The steps that are left of the epoch under way."""
        self.actor.network.train()
        if self.step == 0:
            self.meter = Meter()
        batches = self._batches(self.train, self.epoch + 1, self.meter, self.step * self.cfg.TRAIN.ACCUMULATE)
        with self._bar(f"epoch {self.epoch + 1}/{self.cfg.TRAIN.EPOCH}", self.steps, self.step) as bar:
            while self.step < self.steps:
                chunk = list(islice(batches, self.cfg.TRAIN.ACCUMULATE))
                losses, norm = self._backward(chunk)
                finite = all(map(math.isfinite, losses)) and (self.scaler.is_enabled() or math.isfinite(norm))
                due = self.group.is_main_process and self.every.due(self.global_step + 1)
                broken, stop, save = self.group.all_reduce_any([not finite, asked(), due])
                if broken:
                    self._refuse(chunk, finite, losses, norm)
                self.scaler.step(self.optimizer)
                self.scaler.update()
                if self.ema:
                    self.ema.update(self.network)
                self.step += 1
                self._say_step(bar)
                if stop or save:
                    self._save_step(stop)

    def _backward(self, chunk: Sequence[Batch]) -> tuple[list[float], float]:
        """Gradients of one optimizer step, clipped: the losses of its batches and the norm before clipping."""
        seed_step(self.cfg.TRAIN.SEED, self.group.rank, self.global_step)
        set_lr(self.optimizer, self.lr)
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for i, batch in enumerate(chunk):
            with contextlib.nullcontext() if i + 1 == len(chunk) else self._unsynchronised():
                parts = self.actor(batch)
                self.scaler.scale(parts["total"] / len(chunk)).backward()
            losses.append(parts["total"].detach())
            self.meter.add(parts, len(batch["videos"]))
        self.scaler.unscale_(self.optimizer)
        limit = self.cfg.TRAIN.GRAD_CLIP_NORM or math.inf
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        *values, norm = torch.stack([*losses, norm]).tolist()  # the one wait for the device
        return values, norm

    def _unsynchronised(self) -> contextlib.AbstractContextManager:
        return getattr(self.actor.network, "no_sync", contextlib.nullcontext)()

    @property
    def lr(self) -> float:
        return self.cfg.TRAIN.LR * lr_factor(self.global_step, self.steps, self.cfg)

    @torch.no_grad()
    def _validate(self, asked: Callable[[], bool]) -> dict[str, float]:
        """The figures of the validation samples, always the same ones."""
        actor = self.actor.of(self.ema.module) if self.ema else self.actor
        actor.network.eval()
        meter = Meter()
        with self._bar(f"validate {self.epoch + 1}", len(self.val)) as bar:
            for batch in self._batches(self.val, 1, meter):
                meter.add(actor(batch), len(batch["videos"]))
                bar.update()
                if self.group.all_reduce_any([asked()])[0]:
                    self._save_step(stop=True)
        return meter.means(self.group)

    def _finish_epoch(self, val: dict[str, float] | None) -> None:
        """The epoch's line of figures and its checkpoint."""
        state = self.meter.state(self.group)
        figures = {"train": means_of(state)} | ({"val": val} if val else {})
        figures |= {"unreadable": state["unreadable"], "seconds": state["seconds"], "lr": self.lr,
                    "mixing": mixing_active(self.epoch + 1, self.cfg)}
        self.epoch, self.step, self.meter = self.epoch + 1, 0, Meter()
        best = val is not None and (self.best is None or val["iou"] > self.best["iou"])
        if best:
            self.best = {"epoch": self.epoch, "iou": val["iou"]}
        content = self.state()
        if self.group.is_main_process:
            self._print_epoch(figures)
            self._log_line(figures)
            run_state.save_checkpoint(checkpoint_path(self.folder, self.epoch), content)
            if best:
                run_state.remember_best(self.folder, self.epoch)
            if val:
                draw_curves(self.folder)
            run_state.prune(self.folder, self.epoch, self.cfg.TRAIN.KEEP_CHECKPOINTS, self.cfg.TEST.EPOCH)

    def _save_step(self, stop: bool) -> None:
        """A checkpoint in the middle of an epoch; the one before it goes. ``stop``: and then the end."""
        content = self.state()
        path = run_state.step_path(self.folder, self.epoch, self.step)
        if self.group.is_main_process:
            run_state.save_checkpoint(path, content)
            for old in run_state.list_resumable(self.folder):
                if old != path and old.name.startswith(path.name.partition("_step")[0] + "_step"):
                    old.unlink(missing_ok=True)
        if stop:
            raise TrainingInterrupted(f"stopped as SIGTERM asked, {self.step} steps into epoch {self.epoch + 1}; saved "
                                      f"{path}; the same command goes on from there")

    def _batches(self, loader: Any, epoch: int, meter: Meter, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch; counts unreadable samples, stops when there are too many, times the waiting."""
        loader.batch_sampler.epoch, loader.batch_sampler.first_step = epoch, first
        limit = max(1, math.ceil(UNREADABLE_LIMIT * len(loader) * self.cfg.TRAIN.BATCH_SIZE))
        asked_at = time.monotonic()
        for batch in loader:
            meter.waited += time.monotonic() - asked_at
            for message in batch["unreadable"]:
                meter.unreadable += 1
                _log.warning("sample skipped (%d so far): %s", meter.unreadable, message)
            if meter.unreadable > limit:
                raise UserError(f"{meter.unreadable} samples of this epoch could not be read (limit {limit}); "
                                f"the last: {batch['unreadable'][-1]}")
            yield batch
            asked_at = time.monotonic()

    def _bar(self, title: str, total: int, done: int = 0) -> Any:
        return progress(total=total, initial=done, desc=title, unit="step", leave=False,
                        shown=self.group.is_main_process)

    def _refuse(self, chunk: Sequence[Batch], finite: bool, losses: Sequence[float], norm: float) -> None:
        where = f"epoch {self.epoch + 1}, step {self.step}"
        if finite:
            raise UserError(f"stopping at {where}: the loss of another process is not finite; see its message")
        seen = ", ".join(f"{v} {f}" for b in chunk for v, f in zip(b["videos"], b["frames"], strict=True))
        good = run_state.list_resumable(self.folder)
        raise UserError(f"the loss is {sum(losses) / len(losses)} and its gradient {norm} at {where}; last good "
                        f"checkpoint: {good[-1] if good else 'none'}; batch: {seen}")

    def _say_step(self, bar: Any) -> None:
        """The line of figures that is due, and the progress bar (whose figures wait for the device)."""
        bar.update()
        if not bar.disable:
            bar.set_postfix(self.meter.postfix(), refresh=False)
        if self.step % self.cfg.TRAIN.PRINT_INTERVAL == 0:
            means = self.meter.means(self.group)
            if self.group.is_main_process:
                self._log_line({"step": self.step, "lr": self.lr} | means)

    def _print_epoch(self, figures: dict[str, Any]) -> None:
        parts = [f"{half} loss {figures[half]['total']:.4f} IoU {figures[half]['iou']:.4f}"
                 for half in ("train", "val") if half in figures]
        print(f"epoch {self.epoch}/{self.cfg.TRAIN.EPOCH}: {', '.join(parts)}, "
              f"{figures['train']['samples_per_s']:.1f} samples/s, {figures['seconds']:.0f} s", flush=True)

    def _log_line(self, figures: dict[str, Any]) -> None:
        """``epoch`` is the one under way in a step's line and the one just finished in an epoch's."""
        line = {"epoch": self.epoch + ("step" in figures), "at": self.global_step / self.steps,
                "global_step": self.global_step} | figures
        run_state.append_metrics(self.folder, line)
        for logger in self.loggers:
            logger(line)


def seed_step(seed: int, rank: int, step: int) -> None:
    """Seed torch for one step of one process (stochastic depth draws from it)."""
    torch.manual_seed(int(np.random.SeedSequence([seed, rank, step]).generate_state(1, np.uint64)[0]))
