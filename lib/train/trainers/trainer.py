"""The training loop: epochs of steps, validation, log records, checkpoints.

It knows batches, an actor, an optimizer and a folder, and nothing of videos or of the inside of networks. Its position
is (``epoch``, ``step``): finished epochs, and finished optimizer steps of the next one. Samples, random numbers and the
learning rate depend on the position alone. A run that is resumed from a checkpoint in the middle of an epoch therefore
ends with the same weights as a run that was never stopped.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from ...config import dump_config
from ...config.paths import checkpoint_path
from ...models.mstgt.checkpoint import load_strict
from ...utils.errors import UserError
from ...utils.progress import progress
from ...utils.version import code_version
from ...visualize.training_curves import draw_curves
from ..actors.mstgt import MSTGTActor
from ..data.batch import Batch
from ..data.loader import mixing_active
from ..distributed import Group
from ..optim import WeightAverage, load_optimizer, lr_factor, set_lr
from . import state as run_state
from .interruption import CheckpointInterval, StopRequest, StopWhileWaiting, TrainingInterrupted, catch_sigterm
from .meter import Meter, means_of

_log = logging.getLogger(__name__)
UNREADABLE_LIMIT = 0.01  # fraction of an epoch's samples that may meet an unreadable frame

MetricsLogger = Callable[[dict[str, Any]], object]


class Trainer:
    """Trains ``network`` for ``cfg.TRAIN.EPOCH`` epochs.

    network     the module whose weights are saved
    actor       takes a network and a batch to the losses
    train, val  loaders with a :class:`DistributedBatchSampler`; ``val`` may be None
    folder      where checkpoints and log records go; only the main process writes
    model       what is called to train ``network``: a wrapper (DistributedDataParallel), or None: ``network`` itself
    ema         moving average of the weights of ``network``, which is validated instead of them
    loggers     are called with every log record
    every       when to save within an epoch
    """

    def __init__(self, cfg: Any, network: nn.Module, actor: MSTGTActor, optimizer: torch.optim.Optimizer,
                 train: DataLoader, val: DataLoader | None, folder: Path, group: Group,
                 model: nn.Module | None = None, ema: WeightAverage | None = None,
                 loggers: Sequence[MetricsLogger] = (), every: CheckpointInterval | None = None):
        self.cfg = cfg
        self.network = network
        self.model = model or network
        self.actor = actor
        self.optimizer = optimizer
        self.train = train
        self.val = val
        self.folder = folder
        self.group = group
        self.ema = ema
        self.loggers = loggers
        self.every = every or CheckpointInterval()
        # fp16 gradients underflow without scaling; bf16 has the range of fp32 and needs none.
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=actor.precision == torch.float16)
        self.epoch = 0
        self.step = 0
        self.steps = len(train) // cfg.TRAIN.ACCUMULATE  # optimizer steps per epoch
        self.meter = Meter()
        self.best: dict[str, float] | None = None  # epoch and IoU of the best validation
        if not self.steps:
            per_step = cfg.TRAIN.BATCH_SIZE * cfg.TRAIN.ACCUMULATE * group.world
            raise UserError(f"an epoch has fewer samples ({cfg.DATA.TRAIN.SAMPLE_PER_EPOCH}) than one step takes "
                            f"({per_step}); raise DATA.TRAIN.SAMPLE_PER_EPOCH or lower TRAIN.BATCH_SIZE")
        if val is not None and not len(val):
            raise UserError("DATA.VAL.SAMPLE_PER_EPOCH is less than one batch of all processes; raise it")

    @property
    def global_step(self) -> int:
        """Optimizer steps since the start of the training."""
        return self.epoch * self.steps + self.step

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self.cfg.TRAIN.LR * lr_factor(self.global_step, self.steps, self.cfg)

    def fit(self) -> None:
        """Train the remaining epochs. Raises :class:`TrainingInterrupted` after SIGTERM, when everything is saved."""
        epochs = self.cfg.TRAIN.EPOCH
        # One bar for all epochs: what is left of it is what is left of the training.
        with catch_sigterm() as stop, self._progress_bar(
                total=epochs * self.steps, initial=self.global_step, details=lambda: self.meter.summary()) as bar:
            while self.epoch < epochs:
                bar.set_description(f"epoch {self.epoch + 1}/{epochs}", refresh=False)
                self._train_epoch(stop, bar)
                is_last = self.epoch + 1 == epochs
                validation_due = is_last or (self.epoch + 1) % self.cfg.TRAIN.VAL_EPOCH_INTERVAL == 0
                val = self._validate(stop) if self.val is not None and validation_due else None
                self._finish_epoch(val)

    def train_step(self, batches: Sequence[Batch], stop: StopRequest) -> None:
        """One optimizer step on ``batches`` (several with TRAIN.ACCUMULATE), with the checkpoint that may be due.

        Raises :class:`UserError` if the loss or its gradient is not finite: nothing is updated then.
        """
        # Seeded per step, so that stochastic depth does not depend on where the run was resumed.
        key = np.random.SeedSequence([self.cfg.TRAIN.SEED, self.group.rank, self.global_step])
        torch.manual_seed(int(key.generate_state(1, np.uint64)[0]))
        set_lr(self.optimizer, self.lr)
        self.optimizer.zero_grad(set_to_none=True)

        # Forward and backward; the gradient is the mean over the batches.
        losses = []
        for i, batch in enumerate(batches):
            is_last = i + 1 == len(batches)
            # Processes exchange gradients in the last backward pass only.
            with contextlib.nullcontext() if is_last else self._no_sync():
                parts = self.actor(self.model, batch)
                self.scaler.scale(parts["total"] / len(batches)).backward()
            losses.append(parts["total"].detach())
            self.meter.add(parts, len(batch))

        # Clip. Gradients must have their true size for that.
        self.scaler.unscale_(self.optimizer)
        max_norm = self.cfg.TRAIN.GRAD_CLIP_NORM or math.inf
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), max_norm)

        # The only point of a step where the host waits for the device: one transfer for all scalars.
        *loss_values, norm_value = torch.stack([*losses, norm]).tolist()

        # All processes must decide alike, or the next collective call would never return. With fp16, an infinite
        # norm is expected now and then: the scaler skips that step and lowers its scale.
        finite = all(map(math.isfinite, loss_values)) and (self.scaler.is_enabled() or math.isfinite(norm_value))
        save_due = self.group.is_main_process and self.every.due(self.global_step + 1)
        broken, stopping, saving = self.group.all_reduce_any([not finite, stop.requested, save_due])
        if broken:
            self._raise_not_finite(batches, finite, loss_values, norm_value)

        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema:
            self.ema.update(self.network)
        self.step += 1
        if self.step % self.cfg.TRAIN.PRINT_INTERVAL == 0:
            self._log_step()
        if stopping or saving:
            self._save_step(stopping)

    def state(self) -> dict[str, Any]:
        """The content of a checkpoint (:mod:`state`). All processes must call it, because it sums over them."""
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
        """Continue from what :meth:`state` returned, with the same or another number of processes.

        Raises :class:`UserError` if it does not fit the network.
        """
        load_strict(self.network, state["net"], "the checkpoint")
        if self.ema:
            load_strict(self.ema.module, state["ema"] or state["net"], "the checkpoint")
        load_optimizer(self.optimizer, state["optimizer"])
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.epoch = state["epoch"]
        self.step = state["step"]
        self.best = state["best"]
        if state["world"] != self.group.world:
            # Keep the number of samples that were seen, as well as whole steps allow.
            self.step = self.step * state["world"] // self.group.world
            _log.warning("the checkpoint was written by %d processes and this run has %d: it continues with a batch of "
                         "another size", state["world"], self.group.world)
        # The rate of the last step: a run with no step left in the epoch saves it in the next checkpoint.
        set_lr(self.optimizer, self.cfg.TRAIN.LR * lr_factor(max(0, self.global_step - 1), self.steps, self.cfg))
        # The sums are those of all processes, so only one of them may take them over.
        self.meter = Meter(state["meter"] if self.group.is_main_process else None)
        if self.group.is_main_process:
            run_state.truncate_records(self.folder, self.global_step, self.epoch)

    def _train_epoch(self, stop: StopRequest, bar: tqdm) -> None:
        """The remaining steps of the current epoch."""
        self.model.train()
        if self.step == 0:
            self.meter = Meter()
        accumulate = self.cfg.TRAIN.ACCUMULATE
        batches = self._batches(self.train, self.epoch + 1, self.meter, stop, first=self.step * accumulate)
        while self.step < self.steps:
            self.train_step(list(islice(batches, accumulate)), stop)
            bar.update()

    def _no_sync(self) -> contextlib.AbstractContextManager:
        no_sync = getattr(self.model, "no_sync", contextlib.nullcontext)  # DistributedDataParallel has it
        return no_sync()

    @torch.no_grad()
    def _validate(self, stop: StopRequest) -> dict[str, float]:
        """Mean metrics of the validation samples, which are the same in every epoch."""
        assert self.val is not None
        # The averaged weights are those that a tracker loads, so they are what is to be measured.
        model = self.ema.module if self.ema else self.model
        model.eval()
        meter = Meter()
        with self._progress_bar(total=len(self.val), desc=f"validate {self.epoch + 1}") as bar:
            for batch in self._batches(self.val, 1, meter, stop):
                meter.add(self.actor(model, batch), len(batch))
                bar.update()
                if self.group.all_reduce_any([stop.requested])[0]:
                    self._save_step(stop=True)
        return meter.means(self.group)

    def _finish_epoch(self, val: dict[str, float] | None) -> None:
        """Log and save the epoch whose steps are done. ``val``: metrics of its validation, if there was one."""
        meter_state = self.meter.state(self.group)
        record: dict[str, Any] = {"train": means_of(meter_state)}
        if val:
            record["val"] = val
        record["unreadable"] = meter_state["unreadable"]
        record["seconds"] = meter_state["seconds"]
        record["lr"] = self.lr
        record["mixing"] = mixing_active(self.epoch + 1, self.cfg)
        self.epoch += 1
        self.step = 0
        self.meter = Meter()
        is_best = val is not None and (self.best is None or val["iou"] > self.best["iou"])
        # Before the state is taken, so that a resumed run knows the best epoch.
        if is_best and val is not None:
            self.best = {"epoch": self.epoch, "iou": val["iou"]}
        content = self.state()
        if not self.group.is_main_process:
            return
        self._print_epoch(record)
        self._log_record(record)
        run_state.save_checkpoint(checkpoint_path(self.folder, self.epoch), content)
        if is_best:
            run_state.link_best_checkpoint(self.folder, self.epoch)
        if val:
            draw_curves(self.folder)
        # Last: a process that is killed before this leaves a checkpoint too many, not one too few.
        run_state.prune_checkpoints(self.folder, self.epoch, self.cfg.TRAIN.KEEP_CHECKPOINTS, self.cfg.TEST.EPOCH)

    def _save_step(self, stop: bool) -> None:
        """Save a checkpoint within an epoch and remove the one before it. ``stop``: end the training afterwards."""
        content = self.state()
        path = run_state.step_path(self.folder, self.epoch, self.step)
        if self.group.is_main_process:
            run_state.save_checkpoint(path, content)
            run_state.remove_older_steps(self.folder, path)
        if stop:
            raise TrainingInterrupted(f"stopped by SIGTERM after {self.step} steps of epoch {self.epoch + 1}; saved "
                                      f"{path}")

    def _batches(self, loader: DataLoader, epoch: int, meter: Meter, stop: StopRequest,
                 first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``first`` on.

        Logs unreadable samples and raises :class:`UserError` if there are too many, measures the time spent waiting,
        and ends the training if SIGTERM arrives during the wait.
        """
        sampler: Any = loader.batch_sampler
        sampler.epoch = epoch
        sampler.first_step = first
        limit = max(1, math.ceil(UNREADABLE_LIMIT * len(loader) * self.cfg.TRAIN.BATCH_SIZE))
        # Several processes must stop at the same step. They look at the flag together after each step instead.
        is_interruptible = self.group.is_single_process
        iterator: Iterator[Batch] | None = None
        while True:
            started = time.monotonic()
            try:
                with stop.interrupts(is_interruptible):
                    # Within the interruptible block, too: it starts the loader processes, and the first batch takes
                    # longest.
                    iterator = iterator or iter(loader)
                    batch = next(iterator, None)
            except StopWhileWaiting:
                self._save_step(stop=True)
                return
            except (OSError, RuntimeError) as error:
                advice = _loader_advice(error)
                if advice is None:
                    raise
                raise UserError(advice) from error
            if batch is None:
                return
            meter.waited += time.monotonic() - started
            for message in batch.unreadable:
                meter.unreadable += 1
                _log.warning("sample skipped (%d so far): %s", meter.unreadable, message)
            if meter.unreadable > limit:
                raise UserError(f"{meter.unreadable} samples of this epoch could not be read (limit {limit}); "
                                f"the last: {batch.unreadable[-1]}")
            yield batch

    def _progress_bar(self, **options: Any) -> tqdm:
        # Both bars in the same line: below one another they would need control sequences, which commands escape.
        return progress(unit="step", shown=self.group.is_main_process, leave=False, position=0, **options)

    def _raise_not_finite(self, batches: Sequence[Batch], own_finite: bool, losses: Sequence[float],
                          norm: float) -> None:
        where = f"epoch {self.epoch + 1}, step {self.step}"
        if own_finite:
            raise UserError(f"stopping at {where}: the loss of another process is not finite; see its message")
        # The samples are named because a wrong annotation may be the cause.
        samples = [f"{video} {frames}" for batch in batches
                   for video, frames in zip(batch.videos, batch.frames, strict=True)]
        resumable = run_state.list_resumable(self.folder)
        raise UserError(f"the loss is {sum(losses) / len(losses)} and its gradient {norm} at {where}; last good "
                        f"checkpoint: {resumable[-1] if resumable else 'none'}; batch: {', '.join(samples)}")

    def _log_step(self) -> None:
        """The log record within an epoch: means since its start. All processes must call it."""
        means = self.meter.means(self.group)
        if self.group.is_main_process:
            self._log_record({"step": self.step, "lr": self.lr} | means)

    def _print_epoch(self, record: dict[str, Any]) -> None:
        parts = [f"{mode} loss {record[mode]['total']:.4f} IoU {record[mode]['iou']:.4f}"
                 for mode in ("train", "val") if mode in record]
        with tqdm.external_write_mode():  # above the progress bar
            print(f"epoch {self.epoch}/{self.cfg.TRAIN.EPOCH}: {', '.join(parts)}, "
                  f"{record['train']['samples_per_s']:.1f} samples/s, {record['seconds']:.0f} s", flush=True)

    def _log_record(self, record: dict[str, Any]) -> None:
        """Write a log record. ``epoch`` is the current one in a step's record, the finished one in an epoch's."""
        position = {"epoch": self.epoch + ("step" in record), "at": self.global_step / self.steps,
                    "global_step": self.global_step}
        line = position | record
        run_state.append_record(self.folder, line)
        for logger in self.loggers:
            logger(line)


def _loader_advice(error: OSError | RuntimeError) -> str | None:
    """What to tell the user about a failure of the loader processes; None for any other error."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return ("the data loading processes cannot be started: shared memory (/dev/shm) is full; enlarge it "
                "(docker run --shm-size=1g) or load in the training process with TRAIN.NUM_WORKER=0")
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        return ("a data loading process ended unexpectedly; memory or shared memory (/dev/shm) may be full: lower "
                "TRAIN.NUM_WORKER, or load in the training process with TRAIN.NUM_WORKER=0")
    return None
