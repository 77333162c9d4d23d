"""Fixtures of all tests: the real services, by name."""

pytest_plugins = ["tests.services.plugin", "tests.services.image_plugin", "tests.services.llama_plugin"]
