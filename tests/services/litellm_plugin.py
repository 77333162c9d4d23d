"""pytest's side of LiteLLM: installed before any test runs, for those that ask for ``litellm_library``."""

from __future__ import annotations

import pytest

from tests.services.litellm_library import install
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes

_FIXTURE = "litellm_library"
_REFUSED = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """An installation in a fixture would run into the test's time limit."""
    if session.config.option.collectonly or session.testsfailed:
        return
    if any(_FIXTURE in getattr(item, "fixturenames", ()) for item in session.items):
        try:
            install()
        except Unavailable as error:
            session.config.stash[_REFUSED] = str(error)


@pytest.fixture(scope="session")
def litellm_library(pytestconfig: pytest.Config) -> None:
    """LiteLLM can be imported."""
    refused = pytestconfig.stash.get(_REFUSED, None)
    if refused is None:
        return
    if Wishes.read().required:
        pytest.fail(f"REQUIRE_REAL_SERVICES is set, and LiteLLM: {refused}", pytrace=False)
    pytest.skip(f"LiteLLM: {refused}")
