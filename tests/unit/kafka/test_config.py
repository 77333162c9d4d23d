"""What librdkafka is given: the settings, a deployment's own properties, and never one that breaks the promise."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from confluent_kafka import Consumer, Producer

from llm_service.container.inspection import inspect
from llm_service.container.kafka import connection_config, group_config
from llm_service.errors import SettingsInvalid
from llm_service.kafka.config import consumer_properties, producer_properties
from llm_service.kafka.transactional_producer import transactional_properties
from llm_service.kafka.trial import refusal, refused_properties
from llm_service.settings import Settings, load
from llm_service.settings.refused_properties import OF_CONSUMER, OF_PRODUCER

CANARY = "canary-7f3a91"


def consumer(settings: Settings) -> dict[str, object]:
    return consumer_properties(
        connection_config(settings), group_config(settings), lambda _: None, lambda _: None
    )


def producer(settings: Settings) -> dict[str, object]:
    return producer_properties(connection_config(settings), 30_000, 1_000_000, 1_000_000, lambda _: None)


def transactional(settings: Settings) -> dict[str, object]:
    extra = dict(connection_config(settings).producer_extra)
    return transactional_properties(producer(settings), "group-me", extra)


def wrong(**environ: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load(None, environ, inspect)
    assert CANARY not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "client.rack=az1, fetch.max.bytes=2000000,debug=broker,topic",
        "client.rack = az1\n\nfetch.max.bytes=2000000\ndebug=broker,topic\n",
        '{"client.rack": "az1", "fetch.max.bytes": 2000000, "debug": "broker,topic"}',
    ],
)
def test_properties_are_passed_through_and_go_before_ours(text: str) -> None:
    properties = consumer(load(None, {"KAFKA_CONSUMER_EXTRA": text + ""}, inspect))
    assert properties["client.rack"] == "az1"
    assert properties["fetch.max.bytes"] == "2000000"
    assert properties["debug"] == "broker,topic"
    assert "client.rack" not in consumer(Settings())
    louder = load(
        None, {"KAFKA_CONSUMER_EXTRA": "fetch.wait.max.ms=7", "KAFKA_PRODUCER_EXTRA": "linger.ms=9"}, inspect
    )
    assert consumer(louder)["fetch.wait.max.ms"] == "7"
    assert producer(louder)["linger.ms"] == "9"


def test_a_deployments_own_go_before_ours_in_the_transactional_producer_too() -> None:
    extra = {
        "KAFKA_PRODUCER_EXTRA": "linger.ms=9,client.id=two",
        "KAFKA_CONSUMER_EXTRA": "socket.nagle.disable=true",
    }
    properties = transactional(load(None, {**extra, "KAFKA_DELIVERY": "exactly_once"}, inspect))
    assert [properties[name] for name in ("linger.ms", "client.id", "socket.nagle.disable")] == [
        "9",
        "two",
        "true",
    ]
    assert transactional(Settings())["linger.ms"] == 0


def test_whatever_a_transaction_needs_is_refused_too() -> None:
    """What is left of ours is tuning: whoever adds one to them decides here whether it may change."""
    tunable = {"linger.ms", "retry.backoff.ms", "retry.backoff.max.ms", "topic.metadata.propagation.max.ms"}
    of_both = {"reconnect.backoff.max.ms", "log_level"}
    assert set(transactional(Settings())) - OF_PRODUCER.keys() - of_both == tunable
    assert {"transactional.id", "transaction.timeout.ms", "enable.idempotence"} <= OF_PRODUCER.keys()


def test_the_transactional_producer_is_tried_where_it_is_asked_for() -> None:
    small = {"KAFKA_PRODUCER_EXTRA": "retries=0"}
    assert "retries" in wrong(**small, KAFKA_DELIVERY="exactly_once")


def test_json_has_true_and_false_as_librdkafka_does() -> None:
    settings = load(None, {"KAFKA_CONSUMER_EXTRA": '{"check.crcs": true}'}, inspect)
    assert consumer(settings)["check.crcs"] == "true"


def test_the_connections_properties_are_every_clients() -> None:
    settings = load(
        None,
        {
            "KAFKA_CONSUMER_EXTRA": "broker.address.family=v4,fetch.max.bytes=2000000,client.id=one",
            "KAFKA_PRODUCER_EXTRA": "client.id=two",
        },
        inspect,
    )
    admin = connection_config(settings).properties()
    assert (admin["broker.address.family"], admin["client.id"]) == ("v4", "one")
    assert "fetch.max.bytes" not in admin
    assert (producer(settings)["broker.address.family"], producer(settings)["client.id"]) == ("v4", "two")
    assert "fetch.max.bytes" not in producer(settings)


@pytest.mark.parametrize("name", sorted(OF_CONSUMER))
def test_what_breaks_the_promise_is_refused_by_name_in_the_consumer(name: str) -> None:
    assert f"{name} is refused: {OF_CONSUMER[name]}" in wrong(KAFKA_CONSUMER_EXTRA=f"{name}=1")


@pytest.mark.parametrize("name", sorted(OF_PRODUCER))
def test_what_breaks_the_promise_is_refused_by_name_in_the_producer(name: str) -> None:
    assert f"{name} is refused: {OF_PRODUCER[name]}" in wrong(KAFKA_PRODUCER_EXTRA=f"{name}=1")


def test_whatever_promise_a_property_carries_is_refused() -> None:
    """Our own values of these keep a task from being lost; whoever adds one to them decides here whether it may change."""
    tunable_of_both = {"reconnect.backoff.max.ms", "log_level"}
    tunable_of_consumer = {
        "fetch.wait.max.ms",
        "socket.timeout.ms",
        "queued.min.messages",
        "queued.max.messages.kbytes",
        "statistics.interval.ms",
    }
    assert set(consumer(Settings())) - OF_CONSUMER.keys() - tunable_of_both == tunable_of_consumer
    assert set(producer(Settings())) - OF_PRODUCER.keys() - tunable_of_both == {"linger.ms"}


@pytest.mark.parametrize(("many", "is_refused"), [("5", False), ("6", True), ("1000", True)])
def test_more_requests_in_flight_than_keep_the_order(many: str, *, is_refused: bool) -> None:
    said = ""
    try:
        load(None, {"KAFKA_PRODUCER_EXTRA": f"max.in.flight={many}"}, inspect)
    except SettingsInvalid as error:
        said = error.message
    assert ("max.in.flight is refused above 5" in said) is is_refused


def test_all_that_is_wrong_is_named_at_once_and_no_value_is_shown() -> None:
    message = wrong(
        KAFKA_CONSUMER_EXTRA=f"fetch.min.byte=1, enable.auto.commit=true, debug={CANARY}, queued.min.messages=many",
        KAFKA_PRODUCER_EXTRA=json.dumps({"acks": CANARY, "linger.ms": CANARY}),
        HTTP_PORT="x",
    )
    for part in (
        "enable.auto.commit is refused",
        'fetch.min.byte (No such configuration property: "fetch.min.byte")',
        "debug (Invalid value",
        "queued.min.messages (Invalid value",
        "acks is refused",
        "linger.ms (Invalid value",
        "HTTP_PORT='x'",
        "KAFKA_CONSUMER_EXTRA=<hidden> (from the environment)",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "the first of them has no name="),
        ("=1", "the first of them has no name="),
        ('{"a": ', "begins with { and is no JSON object"),
        ('{"a": {"b": 1}, "c": null}', "a text, a number, true or false is expected for a, c"),
        ("a=1,b=2,a=3", "given more than once: a"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, said: str) -> None:
    message = wrong(KAFKA_CONSUMER_EXTRA=text)
    assert said in message
    assert "expected name=value" in message


def test_properties_that_are_wrong_together_are_told() -> None:
    message = wrong(KAFKA_CONSUMER_EXTRA="fetch.max.bytes=600000")
    assert "KAFKA_CONSUMER_EXTRA=<hidden> (from the environment): Kafka's client refuses them" in message
    assert "`fetch.max.bytes` must be >= `message.max.bytes`" in message
    load(None, {"KAFKA_CONSUMER_EXTRA": "fetch.max.bytes=600000,message.max.bytes=500000"}, inspect)


def test_brokers_whose_certificates_are_not_verified_are_said_aloud_and_refused_in_production() -> None:
    environ = {
        "KAFKA_SECURITY_PROTOCOL": "ssl",
        "KAFKA_CONSUMER_EXTRA": "enable.ssl.certificate.verification=False",
        "KAFKA_PRODUCER_EXTRA": "ssl.endpoint.identification.algorithm=none",
    }
    first, second = load(None, environ, inspect).warnings()
    assert "NOT verified (enable.ssl.certificate.verification in KAFKA_CONSUMER_EXTRA)" in first
    assert "NOT verified (ssl.endpoint.identification.algorithm in KAFKA_PRODUCER_EXTRA)" in second
    message = wrong(**environ, APP_ENV="production")
    assert "APP_ENV='production'" in message
    assert "KAFKA_PRODUCER_EXTRA=<hidden>" in message
    assert load(None, {**environ, "KAFKA_SECURITY_PROTOCOL": "plaintext"}, inspect).warnings() == ()


def test_a_login_by_oauthbearer() -> None:
    login = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
    assert "sasl.oauthbearer.method=oidc in KAFKA_CONSUMER_EXTRA" in wrong(**login)
    oidc = (
        f"sasl.oauthbearer.method=oidc,sasl.oauthbearer.client.id=a,sasl.oauthbearer.client.secret={CANARY},"
        "sasl.oauthbearer.token.endpoint.url=https://127.0.0.1:1/token"
    )
    settings = load(None, {**login, "KAFKA_CONSUMER_EXTRA": oidc}, inspect)
    assert CANARY in settings.secrets()
    assert CANARY not in repr(settings)
    assert CANARY not in repr(connection_config(settings))
    assert CANARY not in repr(group_config(settings))
    assert producer(settings)["sasl.oauthbearer.client.secret"] == CANARY
    assert producer(settings)["sasl.mechanisms"] == "OAUTHBEARER"


def test_a_trial_names_what_is_refused_without_its_value() -> None:
    found = dict(refused_properties({"debug": CANARY, "client.id": "a", "bootstrap.server": "b"}, group=True))
    assert set(found) == {"debug", "bootstrap.server"}
    assert CANARY not in str(found)
    assert refusal({"group.id": "a", "bootstrap.servers": "127.0.0.1:1"}, group=True) is None


def test_a_trial_connects_to_nothing() -> None:
    """librdkafka's own log would tell of a connection that is refused."""
    code = (
        "from llm_service.kafka.trial import refusal\n"
        "import time\n"
        "properties = {'bootstrap.servers': '127.0.0.1:1', 'log_level': 7, 'debug': 'all'}\n"
        "assert refusal(properties, group=True) is None and refusal(properties, group=False) is None\n"
        "time.sleep(0.2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert "127.0.0.1:1" not in done.stderr


def test_the_clients_take_what_the_settings_make() -> None:
    settings = Settings()
    Consumer(consumer(settings)).close()
    Producer(producer(settings))
