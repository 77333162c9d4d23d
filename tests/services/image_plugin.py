"""pytest's side of the image: built before any test runs, and given to those that ask for ``image``."""

from __future__ import annotations

import pytest

from tests.services.cache import Cache
from tests.services.image import Image, build
from tests.services.plugin import say
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes

_FIXTURE = "image"
_BUILT = pytest.StashKey[Image | Unavailable]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """A build in a fixture would run into the test's time limit."""
    if session.config.option.collectonly or session.testsfailed:
        return
    if any(_FIXTURE in getattr(item, "fixturenames", ()) for item in session.items):
        session.config.stash[_BUILT] = _built(session.config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    built = config.stash.get(_BUILT, None)
    if isinstance(built, Image):
        megabytes = built.bytes_above_base / 1e6
        terminalreporter.line(
            f"image: {megabytes:.0f} MB above its base, built by buildah, run by bubblewrap"
        )


@pytest.fixture(scope="session")
def image(pytestconfig: pytest.Config) -> Image:
    """The Dockerfile's image of this checkout."""
    built = pytestconfig.stash[_BUILT]
    if isinstance(built, Image):
        return built
    if Wishes.read().required:
        pytest.fail(f"REQUIRE_REAL_SERVICES is set, and image: {built}", pytrace=False)
    pytest.skip(f"image: {built}")


def _built(config: pytest.Config) -> Image | Unavailable:
    try:
        return build(Cache(Wishes.read().cache, lambda line: say(config, line)))
    except Unavailable as error:
        return error
