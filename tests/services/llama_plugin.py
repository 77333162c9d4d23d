"""pytest's side of llama.cpp: built before any test runs, for those that ask for ``llama_library``."""

from __future__ import annotations

import pytest

from tests.services.cache import Cache
from tests.services.llama_library import install
from tests.services.plugin import say
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes

_FIXTURE = "llama_library"
_REFUSED = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """A build in a fixture would run into the test's time limit."""
    if session.config.option.collectonly or session.testsfailed:
        return
    if any(_FIXTURE in getattr(item, "fixturenames", ()) for item in session.items):
        try:
            install(Cache(Wishes.read().cache, lambda line: say(session.config, line)))
        except Unavailable as error:
            session.config.stash[_REFUSED] = str(error)


@pytest.fixture(scope="session")
def llama_library(pytestconfig: pytest.Config) -> None:
    """llama.cpp can be imported."""
    refused = pytestconfig.stash.get(_REFUSED, None)
    if refused is None:
        return
    if Wishes.read().required:
        pytest.fail(f"REQUIRE_REAL_SERVICES is set, and llama.cpp: {refused}", pytrace=False)
    pytest.skip(f"llama.cpp: {refused}")
