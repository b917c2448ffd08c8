"""Every parser of the project, by name, with valid examples of what it reads, to be corrupted and read again.

    TARGETS["coco"].read(data, folder)      # returns, or raises UserError that names the file; nothing else
"""

from __future__ import annotations

from tests.fuzz import archives, datasets, images, networks, settings, videos
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    **datasets.TARGETS, **settings.TARGETS, **archives.TARGETS, **images.TARGETS, **videos.TARGETS,
    **networks.TARGETS}
