"""Fixtures of all tests: the real services, by name."""

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.services.plugin",
    "tests.services.image_plugin",
    "tests.services.library_plugin",
]

# How long an example takes, or its making, says how busy the machine is and not that something is wrong.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
