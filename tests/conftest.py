"""Property tests: no deadlines (a busy machine is not a failure), and the same examples every time. Networks here are
tiny: one thread is as fast as many, and does not wait for the others on a busy machine; commands that tests start
inherit that.

Tests marked ``nightly`` take minutes; they run with ``pytest --nightly``."""

import os
import signal
import tempfile

import pytest
import torch
from hypothesis import HealthCheck, settings

import mstgt  # noqa: F401, I001, before OpenCV is loaded, which takes its limits from the environment

settings.register_profile("project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# Converted networks are kept between runs of the suite, but apart from the user's own.
os.environ.setdefault("MSTGT_CACHE", os.path.join(tempfile.gettempdir(), f"mstgt-tests-{os.getuid()}"))


@pytest.fixture(autouse=True)
def signals():
    """Ctrl-C, SIGTERM and SIGHUP work in every test. What ignores or handles them, as a script's background job does
    and a command that ran in this process, would hand that down to the processes that tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser):
    parser.addoption("--nightly", action="store_true", help="run the long tests, too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--nightly"):
        for item in items:
            if item.get_closest_marker("nightly"):
                item.add_marker(pytest.mark.skip(reason="long: give --nightly"))
