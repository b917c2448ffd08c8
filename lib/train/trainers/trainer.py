"""The training loop: epochs of steps, validation, a line of figures, a checkpoint after each epoch.

Knows batches, an actor, an optimizer and a folder; nothing of videos or networks' insides.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib.config import dump_config
from lib.train.actors.mstgt import MSTGTActor
from lib.train.data.loader import Batch
from lib.train.distributed import Group
from lib.train.optim import rate_factor, set_rate
from lib.train.trainers.meter import Meter
from lib.train.trainers.state import save_checkpoint
from lib.utils.errors import UserError
from lib.utils.progress import progress
from lib.utils.runs import checkpoint_path

_log = logging.getLogger(__name__)
UNREADABLE_LIMIT = 0.01  # share of an epoch's samples that may meet an unreadable frame


class Trainer:
    """Trains ``network`` through ``actor`` for ``cfg.TRAIN.EPOCH`` epochs.

    train, val   loaders whose ``batch_sampler.epoch`` chooses the epoch; ``val`` may be None
    folder       where checkpoints and figures go; only the leading process writes
    listeners    get every line of figures too
    """

    def __init__(self, cfg: Any, network: nn.Module, actor: MSTGTActor, optimizer: torch.optim.Optimizer,
                 train: Any, val: Any, folder: Path, group: Group,
                 listeners: Sequence[Callable[[dict[str, Any]], object]] = ()):
        self.cfg, self.network, self.actor, self.optimizer = cfg, network, actor, optimizer
        self.train, self.val, self.folder, self.group = train, val, folder, group
        self.listeners = listeners
        self.epoch = 0  # epochs finished
        self.steps = len(train)

    def fit(self) -> None:
        """Train the epochs that are left."""
        while self.epoch < self.cfg.TRAIN.EPOCH:
            epoch = self.epoch + 1
            started = time.monotonic()
            figures = {"train": self._train_epoch(epoch)}
            due = epoch % self.cfg.TRAIN.VAL_EPOCH_INTERVAL == 0 or epoch == self.cfg.TRAIN.EPOCH
            if self.val is not None and due:
                figures["val"] = self._validate(epoch)
            self.epoch = epoch
            if self.group.leads:
                self._report(epoch, figures, time.monotonic() - started)
                save_checkpoint(checkpoint_path(self.folder, epoch), self.state())

    def state(self) -> dict[str, Any]:
        """All that another process needs to go on from here."""
        return {
            "net": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "rng": torch.get_rng_state(),
            "config": dump_config(self.cfg),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self.network.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.epoch = state["epoch"]

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        self.actor.network.train()
        meter = Meter()
        for step, batch in self._batches(self.train, epoch, f"epoch {epoch}/{self.cfg.TRAIN.EPOCH}", meter):
            set_rate(self.optimizer, self.cfg.TRAIN.LR
                     * rate_factor((epoch - 1) * self.steps + step, self.steps, self.cfg))
            parts = self.actor(batch)
            self.optimizer.zero_grad(set_to_none=True)
            parts["total"].backward()
            if self.cfg.TRAIN.GRAD_CLIP_NORM:
                nn.utils.clip_grad_norm_(self.network.parameters(), self.cfg.TRAIN.GRAD_CLIP_NORM)
            self._check_finite(parts["total"], batch, epoch, step)
            self.optimizer.step()
            meter.add(parts, len(batch["videos"]))
            if (step + 1) % self.cfg.TRAIN.PRINT_INTERVAL == 0 and self.group.leads:
                self._log_line({"epoch": epoch, "step": step + 1} | meter.means())
        return self._gather(meter)

    @torch.no_grad()
    def _validate(self, epoch: int) -> dict[str, float]:
        self.actor.network.eval()
        meter = Meter()
        for _, batch in self._batches(self.val, 1, f"validate {epoch}", meter):  # always the same samples
            meter.add(self.actor(batch), len(batch["videos"]))
        return self._gather(meter)

    def _batches(self, loader: Any, epoch: int, title: str, meter: Meter) -> Iterable[tuple[int, Batch]]:
        """The batches of an epoch under a progress bar; counts unreadable samples and stops when there are too many."""
        loader.batch_sampler.epoch = epoch
        limit = max(1, math.ceil(UNREADABLE_LIMIT * self.steps * self.cfg.TRAIN.BATCH_SIZE))
        unreadable = 0
        with progress(total=len(loader), desc=title, unit="step", leave=False) as bar:
            for step, batch in enumerate(loader):
                for message in batch["unreadable"]:
                    unreadable += 1
                    _log.warning("sample skipped (%d so far): %s", unreadable, message)
                if unreadable > limit:
                    raise UserError(f"{unreadable} samples of this epoch could not be read (limit {limit}); "
                                    f"the last: {batch['unreadable'][-1]}")
                yield step, batch
                if not bar.disable:  # the figures wait for the device
                    bar.set_postfix(meter.postfix(), refresh=False)
                bar.update()

    def _check_finite(self, loss: torch.Tensor, batch: Batch, epoch: int, step: int) -> None:
        value = float(loss.detach())
        if math.isfinite(value):
            return
        seen = ", ".join(f"{v} {f}" for v, f in zip(batch["videos"], batch["frames"], strict=True))
        raise UserError(f"the loss is {value} at epoch {epoch}, step {step}; last good checkpoint: "
                        f"{checkpoint_path(self.folder, self.epoch) if self.epoch else 'none'}; batch: {seen}")

    def _gather(self, meter: Meter) -> dict[str, float]:
        means = meter.means()
        if not means:
            raise UserError("an epoch has fewer samples than one batch; raise SAMPLE_PER_EPOCH or lower BATCH_SIZE")
        values = self.group.mean(torch.tensor(list(means.values()), device=self.group.device))
        return dict(zip(means, values.tolist(), strict=True))

    def _report(self, epoch: int, figures: dict[str, dict[str, float]], seconds: float) -> None:
        parts = [f"{half} loss {f['total']:.4f} IoU {f['iou']:.4f}" for half, f in figures.items()]
        print(f"epoch {epoch}/{self.cfg.TRAIN.EPOCH}: {', '.join(parts)}, "
              f"{figures['train']['samples_per_s'] * self.group.world:.1f} samples/s, {seconds:.0f} s", flush=True)
        self._log_line({"epoch": epoch, "seconds": seconds} | figures)

    def _log_line(self, figures: dict[str, Any]) -> None:
        with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        for listener in self.listeners:
            listener(figures)
