"""Learning from the predictions of a trained network beside the boxes."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from mstgt.config import load_config, load_paths
from mstgt.models.mstgt import Prediction
from mstgt.train.build import make_teacher
from mstgt.train.losses import TrackingLoss, distillation_loss
from mstgt.utils.errors import UserError
from tests.train.conftest import memory_set
from tests.train.test_trainer import make_trainer, settings


def prediction(score: list[float], width: float = 0.3) -> Prediction:
    """One region of 1 x n cells whose boxes have the given width."""
    cells = torch.tensor(score).reshape(1, 1, 1, -1)
    size = torch.full((1, 2, 1, cells.shape[-1]), 0.3)
    size[:, 0] = width
    return Prediction(cells, size, torch.zeros_like(size))


def test_the_score_part_of_distillation_is_the_kl_divergence():
    wanted, got = [0.9, 0.2], [0.6, 0.2]
    score, box = distillation_loss(prediction(got), prediction(wanted))
    assert float(score) == pytest.approx(0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4), abs=1e-6)
    assert float(box) == 0
    score, box = distillation_loss(prediction(wanted), prediction(wanted))
    assert float(score) == pytest.approx(0, abs=1e-6) and float(box) == 0


def test_the_box_part_of_distillation_is_weighted_by_the_teachers_score():
    near, far = prediction([0.99, 0.01]), prediction([0.99, 0.01])
    near.size[0, 0, 0, 0] += 0.4
    far.size[0, 0, 0, 1] += 0.4
    teacher = prediction([0.99, 0.01])
    assert float(distillation_loss(near, teacher)[1]) == pytest.approx(0.99 * 0.4 / 4)
    assert float(distillation_loss(far, teacher)[1]) == pytest.approx(0.01 * 0.4 / 4)


def test_training_with_a_teacher_lowers_the_difference_to_it(disk_set, tmp_path):
    """Both begin with the same weights; without the teacher in the loss, training leads away from it."""
    videos = memory_set(*(disk_set[i] for i in range(3)))
    differences = {}
    for weight in (0.0, 20.0):
        trainer = make_trainer(settings("TRAIN.EPOCH=3", "TRAIN.VAL_EPOCH_INTERVAL=9"), videos, tmp_path / str(weight))
        trainer.actor.teacher = copy.deepcopy(trainer.network).eval()
        trainer.actor.loss = TrackingLoss(teacher=weight)
        trainer.fit()
        batch = next(iter(trainer.train))
        with torch.no_grad():
            differences[weight] = float(trainer.actor(trainer.network.train(), batch)["teacher"])
            assert "teacher" not in trainer.actor(trainer.network.eval(), batch)
    assert differences[20.0] < 0.3 * differences[0.0]


def test_the_teacher_is_loaded_in_evaluation_mode_without_gradients():
    cfg = load_config("MSTGT", "MSTGT-nano", ["TRAIN.TEACHER=MSTGT-nano"])
    teacher = make_teacher(cfg, load_paths())
    assert not teacher.training and not any(parameter.requires_grad for parameter in teacher.parameters())
    assert make_teacher(load_config("MSTGT", "MSTGT-nano"), load_paths()) is None


def test_a_teacher_with_other_crop_settings_is_refused():
    for name, setting in (("MSTGT-nano-128", "DATA.TEMPLATE.SIZE"), ("MSTGT-nano", "MODEL.TEMPLATE_MASK")):
        cfg = load_config("MSTGT", "MSTGT-nano", [f"TRAIN.TEACHER={name}", "MODEL.TEMPLATE_MASK=0.25"])
        with pytest.raises(UserError, match=f"TRAIN.TEACHER={name} has {setting} .* make them equal with --set"):
            make_teacher(cfg, load_paths())
