"""What the environment asks for, and the order in which a service is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services import offers
from tests.services.bed import Bed
from tests.services.runtime import Foreign, Unavailable
from tests.services.wishes import Wishes


def test_an_empty_environment_asks_for_nothing() -> None:
    wishes = Wishes.read(
        {"XDG_CACHE_HOME": "/home/someone/.cache", "TEST_KAFKA": "", "REQUIRE_REAL_SERVICES": "0"}
    )
    assert wishes == Wishes({}, required=False, cache=Path("/home/someone/.cache/llm-service-testbed"))


def test_addresses_and_strictness_are_read() -> None:
    env = {
        "TEST_KAFKA": "k:9092",
        "TEST_S3": "http://a:b@s:9000",
        "TEST_POSTGRES": "postgresql://p",
        "TEST_OLLAMA": "http://o",
        "REQUIRE_REAL_SERVICES": "1",
        "LLM_SERVICE_TESTBED": "/var/cache/testbed",
    }
    wishes = Wishes.read(env)
    assert dict(wishes.addresses) == {
        "kafka": "k:9092",
        "minio": "http://a:b@s:9000",
        "postgres": "postgresql://p",
        "ollama": "http://o",
    }
    assert wishes.required
    assert wishes.cache == Path("/var/cache/testbed")


def test_every_address_belongs_to_a_service() -> None:
    env = dict.fromkeys(("TEST_KAFKA", "TEST_S3", "TEST_POSTGRES", "TEST_OLLAMA"), "x")
    assert set(Wishes.read(env).addresses) == set(offers.OFFERS)


def test_a_service_that_cannot_be_had_says_why_each_time(tmp_path: Path) -> None:
    bed = Bed(Wishes({"minio": "http://no-keys:9000"}, required=False, cache=tmp_path), lambda _line: None)
    for _ in range(2):
        with pytest.raises(Unavailable, match="TEST_S3 must look like"):
            bed.get("minio")
    assert bed.report() == {"minio": "not available: TEST_S3 must look like http://access:secret@host:port"}
    bed.close()


def test_a_service_of_somebody_else_is_not_stopped() -> None:
    foreign = Foreign("kafka.example:9092")
    for act in (foreign.kill, foreign.stop, foreign.pause):
        with pytest.raises(Unavailable, match="not ours to stop"):
            act()
