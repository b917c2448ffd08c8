"""Property tests: no deadlines (a busy machine is not a failure), and the same examples every time. Networks here are
tiny: one thread is as fast as many, and does not wait for the others on a busy machine."""

import torch
from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
torch.set_num_threads(1)
