"""pytest's side of extras that are libraries: installed before any test runs, for those that ask for them."""

from __future__ import annotations

import pytest

from tests.services import litellm_library, llama_library
from tests.services.cache import Cache
from tests.services.plugin import say
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes

_REFUSED = pytest.StashKey[dict[str, str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """A build in a fixture would run into the test's time limit."""
    if session.config.option.collectonly or session.testsfailed:
        return

    def install_llama() -> None:
        llama_library.install(Cache(Wishes.read().cache, lambda line: say(session.config, line)))

    refused = session.config.stash[_REFUSED] = {}
    installers = {"llama_library": install_llama, "litellm_library": litellm_library.install}
    for fixture, install in installers.items():
        if any(fixture in getattr(item, "fixturenames", ()) for item in session.items):
            try:
                install()
            except Unavailable as error:
                refused[fixture] = str(error)


@pytest.fixture(name="llama_library", scope="session")
def _llama_library(pytestconfig: pytest.Config) -> None:
    """llama.cpp can be imported."""
    _require(pytestconfig, "llama_library", "llama.cpp")


@pytest.fixture(name="litellm_library", scope="session")
def _litellm_library(pytestconfig: pytest.Config) -> None:
    """LiteLLM can be imported."""
    _require(pytestconfig, "litellm_library", "LiteLLM")


def _require(config: pytest.Config, fixture: str, name: str) -> None:
    refused = config.stash.get(_REFUSED, {}).get(fixture)
    if refused is None:
        return
    if Wishes.read().required:
        pytest.fail(f"REQUIRE_REAL_SERVICES is set, and {name}: {refused}", pytrace=False)
    pytest.skip(f"{name}: {refused}")
