"""Fixtures that drawing shares with the programs, the analysis and the training whose output is drawn."""

from tests.apps.video_demo.conftest import video_file, video_images
from tests.test.analysis.conftest import *  # noqa: F403
from tests.train.conftest import disk_set

__all__ = ["disk_set", "video_file", "video_images"]
