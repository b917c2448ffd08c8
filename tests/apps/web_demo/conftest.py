"""A video and a server for the tests here, which are left out where aiohttp is not installed."""

import importlib.util

import pytest

if importlib.util.find_spec("aiohttp") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def video_bytes(tmp_path_factory) -> bytes:
    """Ten frames of a square that moves to the right."""
    from tests.apps.web_demo.helpers import make_video

    return make_video(tmp_path_factory.mktemp("video") / "video.mp4")


@pytest.fixture
def served(tmp_path):
    """A server whose tracker follows red things; its folder is empty."""
    from tests.apps.web_demo.helpers import serving

    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as server:
        yield server
