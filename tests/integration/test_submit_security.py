"""``submit`` and ``watch`` where the brokers ask for TLS, logins and rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from tests.integration.cli_process import Done, run_command
from tests.services.kafka_listeners import LIMITED_USER, PASSWORD, USER, Listeners, listeners
from tests.services.runtime import Unavailable
from tests.standins.certificates import make_certificates

ID = "9b9b92e5-7dbd-4eea-b26b-d05f8d87fd3a"
LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": USER,
    "KAFKA_SASL_PASSWORD": PASSWORD,
}


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    """With the topics, and one status."""
    try:
        with listeners(tmp_path_factory.mktemp("listeners")) as running:
            for topic in ("tasks", "status"):
                running.kafka.create_topic(topic, 1)
            producer = Producer({"bootstrap.servers": running.kafka.bootstrap})
            producer.produce("status", b'{"result": "{}"}', key=ID, headers={"status": "3"})
            assert producer.flush(20) == 0
            yield running
    except Unavailable as error:
        pytest.skip(str(error))


def _run(folder: Path, brokers: Listeners, listener: str, settings: dict[str, str], *words: str) -> Done:
    topics = {"KAFKA_TASKS_TOPIC": "tasks", "KAFKA_STATUS_TOPIC": "status"}
    ca = {"KAFKA_SSL_CA_LOCATION": str(brokers.certificates.ca_bundle)} if "tls" in listener else {}
    address = {"KAFKA_BOOTSTRAP_SERVERS": getattr(brokers, listener)}
    done = run_command(folder, *words, env={**topics, **ca, **address, **settings})
    assert "Traceback" not in done.err
    assert PASSWORD not in done.err
    return done


@pytest.mark.parametrize("listener", ["login", "tls", "login_tls"])
def test_a_task_is_sent_and_a_status_read_over_each_kind_of_listener(
    brokers: Listeners, tmp_path: Path, listener: str
) -> None:
    settings = {
        "login": LOGIN,
        "tls": {"KAFKA_SECURITY_PROTOCOL": "ssl"},
        "login_tls": {**LOGIN, "KAFKA_SECURITY_PROTOCOL": "sasl_ssl"},
    }[listener]
    sent = _run(tmp_path, brokers, listener, settings, "submit", "--text", "x", "--prompt", "y")
    assert (sent.code, sent.err) == (0, "")
    seen = _run(tmp_path, brokers, listener, settings, "watch", ID)
    assert (seen.code, seen.err) == (0, "")
    assert json.loads(seen.out)["status"] == 3


@pytest.mark.parametrize(
    "words", [("watch",), ("submit", "--text", "x", "--prompt", "y")], ids=["watch", "submit"]
)
def test_what_is_wrong_with_the_security_is_told(
    brokers: Listeners, tmp_path: Path, words: tuple[str, ...]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    untrusted = {
        "KAFKA_SECURITY_PROTOCOL": "ssl",
        "KAFKA_SSL_CA_LOCATION": str(make_certificates(other).ca_bundle),
    }
    for listener, settings, told in (
        ("login", {**LOGIN, "KAFKA_SASL_PASSWORD": "wrong"}, "KAFKA_SASL_PASSWORD"),
        ("tls", untrusted, brokers.tls),
    ):
        done = _run(tmp_path, brokers, listener, settings, *words)
        assert (done.code, done.out) == (69, "")
        assert told in done.err


def test_rights_that_a_user_lacks_are_told(brokers: Listeners, tmp_path: Path) -> None:
    limited = {**LOGIN, "KAFKA_SASL_USERNAME": LIMITED_USER}
    submit = ("submit", "--text", "x", "--prompt", "y")
    unseen = _run(tmp_path, brokers, "login", limited, *submit)
    assert (unseen.code, unseen.out) == (69, "")
    assert "or this service may not see it" in unseen.err
    for topic in ("tasks", "status"):
        brokers.allow(LIMITED_USER, AclOperation.DESCRIBE, ResourceType.TOPIC, topic)
    unwritable = _run(tmp_path, brokers, "login", limited, *submit)
    assert (unwritable.code, unwritable.out) == (1, "")
    assert "tasks can't be written" in unwritable.err
    unreadable = _run(tmp_path, brokers, "login", limited, "watch")
    assert (unreadable.code, unreadable.out) == (69, "")
    assert "status may not be read: grant READ on it" in unreadable.err
