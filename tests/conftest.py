"""Property tests: no deadlines (a busy machine is not a failure), and the same examples every time."""

from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
