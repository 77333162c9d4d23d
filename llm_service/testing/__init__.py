"""For whoever adds a provider: what every provider promises, as tests to inherit. Needs pytest and pytest-asyncio."""

from __future__ import annotations

import pytest

# Or a failed assertion of a module that is no test of pytest's own would say nothing but its line.
pytest.register_assert_rewrite("llm_service.testing.conformance")

from llm_service.testing.conformance import ProviderConformance  # noqa: E402 - after the line above

__all__ = ["ProviderConformance"]
