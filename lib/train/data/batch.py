"""A training batch as the loader hands it to the trainer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch

Fields = TypeVar("Fields", bound="_TensorFields")


class _TensorFields:
    """Moves all tensors of a dataclass at once. Fields that are such dataclasses themselves move with it."""

    def _map(self: Fields, name: str, *args: Any, **kwargs: Any) -> Fields:
        changed = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, (torch.Tensor, _TensorFields)):
                changed[field.name] = getattr(value, name)(*args, **kwargs)
        return replace(self, **changed)  # type: ignore[type-var]

    def to(self: Fields, device: torch.device, non_blocking: bool = False) -> Fields:
        """A copy with all tensors on ``device``."""
        return self._map("to", device, non_blocking=non_blocking)

    def pin_memory(self: Fields) -> Fields:
        """A copy in page-locked memory; the DataLoader's pinning thread calls this."""
        return self._map("pin_memory")

    # Loader processes send batches as NumPy arrays through a pipe. PyTorch would send tensors through shared memory,
    # and when /dev/shm is full (64 MB in Docker's default), the sender fails in a background thread: the batch is
    # lost and the trainer waits for it forever. A batch is a few MB, so the pipe costs about a millisecond.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value.numpy() if isinstance(value, torch.Tensor) else value
                for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            is_array = type(value).__module__ == "numpy"
            setattr(self, name, torch.from_numpy(value) if is_array else value)


@dataclass
class PartnerBatch(_TensorFields):
    """The search regions of the samples' partners, for feature mixing (:mod:`mstgt.models.mstgt.mixing`).

    search      (N, B, S, S, 3) uint8 RGB; zeros for samples without a partner
    boxes       (N, B, 4) float32 cx, cy, w, h of the partners' targets as fractions of the crop, before flipping
    flip, gray  (B,) bool: augmentation of the partner, the same for all of its frames
    brightness  (N, B) float32 factors
    active      (B,) bool: whether the sample has a partner
    videos      B names; empty for samples without a partner
    """

    search: torch.Tensor
    boxes: torch.Tensor
    flip: torch.Tensor
    gray: torch.Tensor
    brightness: torch.Tensor
    active: torch.Tensor
    videos: list[str]


@dataclass
class Batch(_TensorFields):
    """B samples of one template and N search frames each. Frame-major where there is a frame axis.

    template      (B, T, T, 3) uint8 RGB
    template_box  (B, 4) float32 cx, cy, w, h of the target as fractions of the template crop, before flipping
    search        (N, B, S, S, 3) uint8 RGB
    boxes         (N, B, 4) float32 cx, cy, w, h of the target as fractions of the search crop, before flipping
    flip, gray    (B,) bool: augmentation, the same for all frames of a sample
    brightness    (1 + N, B) float32 factors: the template's, then the search frames'
    videos        B names
    frames        per sample, the frame numbers of the template and of the search frames
    unreadable    messages about frames that could not be read; their samples were replaced
    present       (N, B) bool: whether the target is in the search region; None: in all of them
    partner       in epochs of feature mixing only
    """

    template: torch.Tensor
    template_box: torch.Tensor
    search: torch.Tensor
    boxes: torch.Tensor
    flip: torch.Tensor
    gray: torch.Tensor
    brightness: torch.Tensor
    videos: list[str]
    frames: list[list[int]]
    unreadable: list[str]
    present: torch.Tensor | None = None
    partner: PartnerBatch | None = None

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.videos)
