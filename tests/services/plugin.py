"""pytest's side of the test bed: the services as fixtures, and what ran against what."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

from tests.services.bed import NAMES, Bed
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.ollama import Ollama
from tests.services.postgres import Postgres
from tests.services.runtime import Unavailable
from tests.services.service import Service
from tests.services.wishes import Wishes

S = TypeVar("S", bound=Service)

MARKER = "needs_service"
_SERVICE_FOLDERS = ("integration", "acceptance")
_OWN = "own_"
_BED = pytest.StashKey[Bed]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("services")
    group.addoption(
        "--services-report", type=Path, help="write what each service ran as to this file, as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: needs a real service, or is in a folder of tests that do")
    config.stash[_BED] = Bed(Wishes.read(), lambda line: say(config, line))


def pytest_unconfigure(config: pytest.Config) -> None:
    if _BED in config.stash:
        config.stash[_BED].close()


@pytest.hookimpl(tryfirst=True)  # before -m deselects by the marker that is set here
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if services_of(item) or set(item.path.parts) & set(_SERVICE_FOLDERS):
            item.add_marker(MARKER)


def services_of(item: pytest.Item) -> set[str]:
    """The services that a test uses: by its fixtures, or by a parameter or a parameter's id of that name.

    The second is for ``@pytest.fixture(params=["folder", "minio"])`` that asks for the service only then.
    """
    names = {name.removeprefix(_OWN) for name in getattr(item, "fixturenames", ())}
    call = getattr(item, "callspec", None)
    if call is not None:
        names |= {value for value in call.params.values() if isinstance(value, str)} | set(call.id.split("-"))
    return names & set(NAMES)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Build what is missing before any test runs: inside a fixture it would run into the test's time limit."""
    if session.config.option.collectonly or session.testsfailed:
        return
    wanted = set().union(*(services_of(item) for item in session.items))
    session.config.stash[_BED].prepare([name for name in NAMES if name in wanted])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that would stop a service that is not ours is skipped like one whose service is missing."""
    try:
        return (yield)
    except Unavailable as error:
        _give_up(item.config, str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """A service that a test has killed or paused serves again before the next one."""
    result = yield
    for service in item.config.stash[_BED].running:
        service.ensure_up()
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash[_BED].report()
    if report:
        terminalreporter.section("services")
        for name, how in report.items():
            terminalreporter.line(f"{name}: {how}")
    target: Path | None = config.getoption("--services-report")
    if target is not None:
        target.write_text(json.dumps(dict(report), ensure_ascii=False))


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Kafka:
    """A real Kafka of one node. Shared: make topics by ``kafka.topic()``, groups by ``kafka.unique()``."""
    return _service(pytestconfig, "kafka", Kafka)


@pytest.fixture(scope="session")
def minio(pytestconfig: pytest.Config) -> MinioServer:
    """A real MinIO. Shared: make a bucket of your own by ``minio.bucket()``."""
    return _service(pytestconfig, "minio", MinioServer)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Postgres:
    """A real PostgreSQL. Shared: make a database of your own by ``postgres.database()``."""
    return _service(pytestconfig, "postgres", Postgres)


@pytest.fixture(scope="session")
def ollama(pytestconfig: pytest.Config) -> Ollama:
    """A real Ollama whose ``ollama.model`` has random weights and keeps to a schema."""
    return _service(pytestconfig, "ollama", Ollama)


@pytest.fixture(scope="session")
def own_kafka(pytestconfig: pytest.Config) -> Kafka:
    """A second Kafka, of this run alone: to be killed and paused."""
    return _service(pytestconfig, "kafka", Kafka, own=True)


@pytest.fixture(scope="session")
def own_minio(pytestconfig: pytest.Config) -> MinioServer:
    """A second MinIO, of this run alone: to be killed and paused."""
    return _service(pytestconfig, "minio", MinioServer, own=True)


@pytest.fixture(scope="session")
def own_postgres(pytestconfig: pytest.Config) -> Postgres:
    """A second PostgreSQL, of this run alone: to be killed and paused."""
    return _service(pytestconfig, "postgres", Postgres, own=True)


def _service(config: pytest.Config, name: str, kind: type[S], *, own: bool = False) -> S:
    bed = config.stash[_BED]
    try:
        service = bed.another(name) if own else bed.get(name)
    except Unavailable as error:
        _give_up(config, f"{name}: {error}")
    assert isinstance(service, kind)
    return service


def _give_up(config: pytest.Config, reason: str) -> NoReturn:
    if config.stash[_BED].wishes.required:
        pytest.fail(f"REQUIRE_REAL_SERVICES is set, and {reason}", pytrace=False)
    pytest.skip(reason)


def say(config: pytest.Config, line: str) -> None:
    """Tell the terminal what is being built, which may take minutes."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter):
        reporter.ensure_newline()
        reporter.write_line(f"test bed: {line}")
