"""``check kafka`` on real brokers: each thing that can be wrong is named, with what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.kafka import probe
from llm_service.errors import SettingsInvalid
from tests.integration.checked import Checked, checked, silent
from tests.services.kafka import Kafka
from tests.services.kafka_listeners import LIMITED_USER, NOWHERE, PASSWORD, USER, Listeners, listeners
from tests.services.minio import MinioServer
from tests.services.ports import free_port
from tests.services.runtime import Unavailable

LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": USER,
    "KAFKA_SASL_PASSWORD": PASSWORD,
}


@pytest.fixture
def values(kafka: Kafka) -> dict[str, str]:
    """Settings of topics that are all right, and of a group that nobody else has."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": kafka.topic("tasks", 2),
        "KAFKA_STATUS_TOPIC": kafka.topic("status", 2),
        "KAFKA_DLQ_TOPIC": kafka.topic("dlq", 2, {"max.message.bytes": "2000000"}),
        "KAFKA_RETRY_TOPIC": "none",
        "KAFKA_GROUP_ID": kafka.unique("group"),
    }


@pytest.fixture(scope="module")
def each_kind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    """A broker of this module's own."""
    try:
        with listeners(tmp_path_factory.mktemp("listeners")) as running:
            yield running
    except Unavailable as error:
        pytest.skip(str(error))


def produce(
    values: Mapping[str, str], count: int, partition: int = 0, written_at: float | None = None
) -> None:
    producer = Producer({"bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"]})
    for _ in range(count):
        stamp = int((written_at or time.time()) * 1000)
        producer.produce(values["KAFKA_TASKS_TOPIC"], b"{}", partition=partition, timestamp=stamp)
    assert producer.flush(15) == 0


def commit(values: Mapping[str, str], offset: int, partition: int = 0) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": values["KAFKA_GROUP_ID"],
            "enable.auto.commit": False,
        }
    )
    place = TopicPartition(values["KAFKA_TASKS_TOPIC"], partition, offset)
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()


@contextmanager
def members(values: Mapping[str, str], count: int, topic: str | None = None, **more: str) -> Iterator[None]:
    """So many consumers in the group, all of them joined."""
    properties: dict[str, str | int | float | bool] = {
        "bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": values["KAFKA_GROUP_ID"],
        "partition.assignment.strategy": "cooperative-sticky",
        "client.id": "a-worker",
        **{name.replace("_", "."): value for name, value in more.items()},
    }
    consumers = [Consumer(properties) for _ in range(count)]
    admin = AdminClient({"bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"]})
    try:
        for consumer in consumers:
            consumer.subscribe([topic or values["KAFKA_TASKS_TOPIC"]])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for consumer in consumers:
                consumer.poll(0.05)
            group = values["KAFKA_GROUP_ID"]
            described = admin.describe_consumer_groups([group])[group].result(10)
            assigned = sum(len(member.assignment.topic_partitions) for member in described.members)
            if len(described.members) == count and described.state.name == "STABLE" and assigned:
                break
        else:
            raise AssertionError("the members did not join")
        yield
    finally:
        for consumer in consumers:
            consumer.close()


def alone(found: Checked, verdict: Verdict) -> str:
    """The one finding of that verdict, as text."""
    (finding,) = [finding for finding in found.findings if finding.verdict is verdict]
    return f"{finding.subject}: {finding.seen} → {finding.remedy}"


# --- the way there ------------------------------------------------------------------------------------


async def test_everything_is_fine(values: Mapping[str, str]) -> None:
    found = await checked(probe, values)
    assert set(found.verdicts().values()) == {Verdict.OK}, found.text()
    assert "2 partitions, 1 replica, messages up to 1,048,588 bytes, kept for 7 d" in found.text()
    assert "0 messages unread in 2 partitions" in found.about("lag").seen
    assert "begins at the earliest" in found.about("lag").seen
    assert found.about(f"connection {values['KAFKA_BOOTSTRAP_SERVERS']}").seconds is not None


async def test_a_host_that_is_not_known(values: Mapping[str, str]) -> None:
    found = await checked(probe, {**values, "KAFKA_BOOTSTRAP_SERVERS": "kafka.invalid:9092"})
    assert "'kafka.invalid' is not known here" in found.failed().seen
    assert "KAFKA_BOOTSTRAP_SERVERS" in (found.failed().remedy or "")


async def test_a_port_where_nothing_listens_is_a_failure_alone_and_a_warning_beside_one_that_answers(
    values: Mapping[str, str],
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    found = await checked(probe, {**values, "KAFKA_BOOTSTRAP_SERVERS": nobody})
    assert "nothing listens there" in found.failed().seen
    both = f"{nobody}, {values['KAFKA_BOOTSTRAP_SERVERS']}"
    found = await checked(probe, {**values, "KAFKA_BOOTSTRAP_SERVERS": both})
    assert f"connection {nobody}" in alone(found, Verdict.WARNING)
    assert Verdict.FAILED not in found.verdicts().values()


async def test_a_port_that_is_no_kafka(values: Mapping[str, str], minio: MinioServer) -> None:
    found = await checked(probe, {**values, "KAFKA_BOOTSTRAP_SERVERS": minio.endpoint})
    assert "is an HTTP server" in found.failed().seen
    async with silent() as port:
        found = await checked(probe, {**values, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"})
        assert "is something that is no Kafka broker" in found.failed().seen


async def test_settings_that_kafkas_client_refuses_are_wrong_settings(values: Mapping[str, str]) -> None:
    wrong = {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_SSL_CA_LOCATION": "/nobody/made/this.pem"}
    with pytest.raises(SettingsInvalid, match=r"ssl\.ca\.location"):
        await checked(probe, {**values, **wrong})


# --- TLS, login, advertised listeners -----------------------------------------------------------------


def on(listener: str, each_kind: Listeners, **more: str) -> dict[str, str]:
    """Settings for one of its listeners, with the topics there."""
    for topic in ("tasks", "status", "letters"):
        if topic not in AdminClient({"bootstrap.servers": each_kind.kafka.bootstrap}).list_topics().topics:
            each_kind.kafka.create_topic(
                topic, 1, {"max.message.bytes": "2000000"} if topic == "letters" else None
            )
    names = {"KAFKA_TASKS_TOPIC": "tasks", "KAFKA_STATUS_TOPIC": "status", "KAFKA_DLQ_TOPIC": "letters"}
    return {"KAFKA_BOOTSTRAP_SERVERS": listener, "KAFKA_GROUP_ID": "here", **names, **more}


def trusted(each_kind: Listeners) -> dict[str, str]:
    return {"KAFKA_SSL_CA_LOCATION": str(each_kind.certificates.ca_bundle)}


async def test_clients_that_are_sent_to_a_name_unknown_here(each_kind: Listeners) -> None:
    found = await checked(probe, on(each_kind.astray, each_kind))
    assert found.about(f"connection {each_kind.astray}").verdict is Verdict.OK
    failed = found.about(f"broker 1 at {NOWHERE}")
    assert failed.verdict is Verdict.FAILED
    assert "advertised.listeners" in failed.seen
    assert "'kafka.invalid' is not known here" in failed.seen
    assert found.about("topics and group").verdict is Verdict.SKIPPED


async def test_the_right_login_and_the_right_certificate(each_kind: Listeners) -> None:
    found = await checked(probe, on(each_kind.login, each_kind, **LOGIN))
    assert set(found.verdicts().values()) == {Verdict.OK}, found.text()
    both = {**LOGIN, "KAFKA_SECURITY_PROTOCOL": "sasl_ssl", **trusted(each_kind)}
    found = await checked(probe, on(each_kind.login_tls, each_kind, **both))
    assert Verdict.FAILED not in found.verdicts().values(), found.text()
    # The certificates of the tests end in two days.
    assert "1 days, issued by" in alone(found, Verdict.WARNING)


async def test_a_wrong_password_is_told_apart_from_nobody_there(each_kind: Listeners) -> None:
    wrong = {**LOGIN, "KAFKA_SASL_PASSWORD": "canary-password"}
    found = await checked(probe, on(each_kind.login, each_kind, **wrong))
    failed = found.failed()
    assert failed.subject == "login"
    assert "refused for user 'worker'" in failed.seen
    assert "KAFKA_SASL_PASSWORD" in (failed.remedy or "")
    assert "canary" not in found.text()


@pytest.mark.parametrize(
    ("listener", "settings", "seen", "remedy"),
    [
        ("plain", {"KAFKA_SECURITY_PROTOCOL": "ssl"}, "speaks no TLS", "KAFKA_SECURITY_PROTOCOL=plaintext"),
        ("tls", {}, "speaks TLS", "KAFKA_SECURITY_PROTOCOL=ssl,"),
        ("login_tls", {}, "speaks TLS", "KAFKA_SECURITY_PROTOCOL=sasl_ssl"),
        ("login", {}, "asks for a login (PLAIN)", "KAFKA_SECURITY_PROTOCOL=sasl_plaintext"),
        ("plain", LOGIN, "asks for no login", "KAFKA_SECURITY_PROTOCOL=plaintext"),
        (
            "login",
            {**LOGIN, "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"},
            "offers the login mechanisms PLAIN, not SCRAM-SHA-256",
            "KAFKA_SASL_MECHANISM",
        ),
        ("tls", {"KAFKA_SECURITY_PROTOCOL": "ssl"}, "is not trusted", "KAFKA_SSL_CA_LOCATION"),
    ],
    ids=["plain-asked-by-tls", "tls-asked-plainly", "both-asked-plainly", "no-login-given", "login-not-asked-for",
         "mechanism", "untrusted"],
)  # fmt: skip
async def test_the_protocol_of_another_listener_is_named(
    each_kind: Listeners, listener: str, settings: Mapping[str, str], seen: str, remedy: str
) -> None:
    address = each_kind.kafka.bootstrap if listener == "plain" else getattr(each_kind, listener)
    failed = (await checked(probe, on(address, each_kind, **settings))).failed()
    assert seen in failed.seen
    assert remedy in (failed.remedy or "")


async def test_a_listener_that_wants_to_see_a_certificate(each_kind: Listeners) -> None:
    without = {"KAFKA_SECURITY_PROTOCOL": "ssl", **trusted(each_kind)}
    failed = (await checked(probe, on(each_kind.mutual_tls, each_kind, **without))).failed()
    assert "asks for a client certificate" in failed.seen
    assert "KAFKA_SSL_CERTIFICATE_LOCATION" in (failed.remedy or "")


async def test_rights_that_a_user_lacks_are_named(each_kind: Listeners) -> None:
    values = on(each_kind.login, each_kind, **{**LOGIN, "KAFKA_SASL_USERNAME": LIMITED_USER})
    found = await checked(probe, values)
    assert "this user may not see it" in found.about("topic tasks").seen
    assert "DESCRIBE and READ on topic tasks" in (found.about("topic tasks").remedy or "")
    for topic in ("tasks", "status", "letters"):
        each_kind.allow(LIMITED_USER, AclOperation.DESCRIBE, ResourceType.TOPIC, topic)
    each_kind.allow(LIMITED_USER, AclOperation.DESCRIBE, ResourceType.GROUP, "here")
    found = await checked(probe, values)
    assert "no right to READ" in found.about("topic tasks").seen
    seen = [finding.seen for finding in found.findings if finding.subject == "topic status"]
    assert "no right to WRITE" in seen[0]
    assert "no right to WRITE" in found.about("topic letters").seen
    assert "no right to READ" in found.about("group here").seen
    assert "the first worker of a new group reads there what was answered" in seen[1]
    remedy = found.about("topic letters").remedy or ""
    assert "WRITE and READ on topic letters" in remedy
    each_kind.allow(LIMITED_USER, AclOperation.WRITE, ResourceType.TOPIC, "letters")
    found = await checked(probe, {**values, "KAFKA_ADOPT": "off"})
    letters = found.about("topic letters")
    assert letters.verdict is Verdict.WARNING
    assert "no right to READ" in letters.seen
    assert "dlq resume" in letters.seen
    assert len([finding for finding in found.findings if finding.subject == "topic status"]) == 1


# --- topics -------------------------------------------------------------------------------------------


async def test_topics_that_are_not_there(values: Mapping[str, str]) -> None:
    found = await checked(probe, {**values, "KAFKA_TASKS_TOPIC": "nobody-made-this"})
    assert found.failed().subject == "topic nobody-made-this"
    assert "llm-service topics create" in (found.failed().remedy or "")
    found = await checked(probe, {**values, "KAFKA_DLQ_TOPIC": "nobody-made-this"})
    assert found.about("topic nobody-made-this").verdict is Verdict.OK
    found = await checked(probe, {**values, "KAFKA_STATUS_TOPIC": ""})
    assert "KAFKA_STATUS_TOPIC is not set" in found.failed().seen


async def test_one_topic_for_tasks_and_statuses_is_looked_at_once(values: Mapping[str, str]) -> None:
    tasks = values["KAFKA_TASKS_TOPIC"]
    found = await checked(probe, {**values, "KAFKA_STATUS_TOPIC": tasks})
    assert found.about(f"topic {tasks}").verdict is Verdict.OK


async def test_a_compacted_tasks_topic(values: Mapping[str, str], kafka: Kafka) -> None:
    compacted = kafka.topic("compacted", 1, {"cleanup.policy": "compact,delete"})
    found = await checked(probe, {**values, "KAFKA_TASKS_TOPIC": compacted})
    assert "is compacted" in found.failed().seen
    assert f"--topic {compacted} --add-config cleanup.policy=delete" in (found.failed().remedy or "")


async def test_topics_that_are_too_small_or_take_no_writes(values: Mapping[str, str], kafka: Kafka) -> None:
    small = kafka.topic("small", 1, {"max.message.bytes": "100000"})
    found = await checked(probe, {**values, "KAFKA_STATUS_TOPIC": small})
    assert "takes messages of 100,000 bytes, fewer than KAFKA_MESSAGE_MAX_BYTES=1000000" in alone(
        found, Verdict.WARNING
    )
    letters = kafka.topic("letters", 1)
    found = await checked(probe, {**values, "KAFKA_DLQ_TOPIC": letters})
    assert "max.message.bytes to 1114124" in alone(found, Verdict.WARNING)
    strict = kafka.topic("strict", 1, {"min.insync.replicas": "2"})
    found = await checked(probe, {**values, "KAFKA_STATUS_TOPIC": strict})
    assert "min.insync.replicas=2 with 1 replica" in found.failed().seen


async def test_with_latest_what_lies_in_partitions_that_were_added_is_told(
    values: Mapping[str, str], kafka: Kafka
) -> None:
    tasks = kafka.topic("tasks", 2)
    values = {**values, "KAFKA_TASKS_TOPIC": tasks}
    commit(values, 0, 0)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(tasks, b"{}", partition=1)
    assert producer.flush(15) == 0
    found = await checked(probe, {**values, "KAFKA_AUTO_OFFSET_RESET": "latest"})
    assert found.about("new partitions").seen.startswith("nothing of partitions 1 was read yet")
    assert not [f for f in (await checked(probe, values)).findings if f.subject == "new partitions"]


async def test_what_waits_on_the_retry_topic_is_told_apart_from_the_lag(
    values: Mapping[str, str], kafka: Kafka
) -> None:
    retry = kafka.topic("retry", 2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(3):
        producer.produce(retry, b"{}", partition=number % 2)
    assert producer.flush(15) == 0
    found = await checked(probe, {**values, "KAFKA_RETRY_TOPIC": retry})
    assert found.about(f"retries on {retry}").seen.startswith("3 messages not done")


# --- the group ----------------------------------------------------------------------------------------


async def test_a_lag_without_workers_and_its_age(values: Mapping[str, str]) -> None:
    produce(values, 3, written_at=time.time() - 3600)
    produce(values, 1, partition=1)
    commit(values, 1)
    found = await checked(probe, values)
    assert "3 messages unread in 2 partitions, at most 2 in one" in found.about("lag").seen
    assert "nobody reads: no worker is in it, and 3 messages unread" in alone(found, Verdict.WARNING)
    assert "waits for 60 min; messages are deleted after 7 d" in found.about("oldest unread").seen


async def test_retention_that_is_about_to_overtake_the_group(values: Mapping[str, str], kafka: Kafka) -> None:
    brief = kafka.topic("brief", 1, {"retention.ms": str(30 * 3600 * 1000)})
    values = {**values, "KAFKA_TASKS_TOPIC": brief}
    produce(values, 1, written_at=time.time() - 20 * 3600)
    found = await checked(probe, values)
    old = found.about("oldest unread")
    assert old.verdict is Verdict.WARNING
    assert "waits for 20 h; messages are deleted after 30 h" in old.seen


async def test_tasks_that_were_deleted_unread(values: Mapping[str, str]) -> None:
    produce(values, 10)
    commit(values, 2)
    admin = AdminClient({"bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"]})
    place = TopicPartition(values["KAFKA_TASKS_TOPIC"], 0, 7)
    for future in admin.delete_records([place]).values():
        future.result(15)
    found = await checked(probe, values)
    assert found.failed().subject == "unread tasks"
    assert "5 messages were deleted before this group had done them" in found.failed().seen
    assert "retention.ms" in (found.failed().remedy or "")
    assert "3 messages unread" in found.about("lag").seen


async def test_members_are_shown_and_more_of_them_than_partitions_is_a_warning(
    values: Mapping[str, str],
) -> None:
    subject = f"group {values['KAFKA_GROUP_ID']}"
    with members(values, 2):
        found = await asyncio.create_task(checked(probe, values))
        assert "stable, 2 members (a-worker on 127.0.0.1, a-worker on 127.0.0.1)" in found.about(subject).seen
        assert found.about(subject).verdict is Verdict.OK
    with members(values, 3):
        found = await checked(probe, values)
        assert "3 members share 2 partitions: 1 have nothing to do" in alone(found, Verdict.WARNING)


async def test_shares_that_are_even_in_sum_alone(values: Mapping[str, str], kafka: Kafka) -> None:
    """Two members that join one after the other: one has all of the tasks, the other all that goes round."""
    topics = [kafka.topic("tasks", 6), kafka.topic("retry", 6)]
    properties: dict[str, str | int | float | bool] = {
        "bootstrap.servers": kafka.bootstrap,
        "group.id": values["KAFKA_GROUP_ID"],
        "partition.assignment.strategy": "cooperative-sticky",
    }
    consumers = [Consumer(properties), Consumer(properties)]
    try:
        for joined in (1, 2):
            consumers[joined - 1].subscribe(topics)
            until = time.monotonic() + 30
            while [len(consumer.assignment()) for consumer in consumers[:joined]] != [12 // joined] * joined:
                assert time.monotonic() < until, "they do not share"
                for consumer in consumers[:joined]:
                    consumer.poll(0.05)
        values = {**values, "KAFKA_TASKS_TOPIC": topics[0], "KAFKA_RETRY_TOPIC": topics[1]}
        found = await checked(probe, values)
    finally:
        for consumer in consumers:
            consumer.close()
    said = found.about(f"group {values['KAFKA_GROUP_ID']}")
    assert said.verdict is Verdict.WARNING
    assert f"its members have between 0 and 6 partitions of {topics[0]}" in said.seen
    assert f"together with those of {topics[1]} only" in said.seen
    assert "one partition" in (said.remedy or "")


async def test_a_group_of_another_application_and_of_another_kind_of_members(
    values: Mapping[str, str], kafka: Kafka
) -> None:
    with members(values, 1, topic=kafka.topic("other", 1)):
        found = await checked(probe, values)
        assert "it is another application's" in found.failed().seen
        assert "KAFKA_GROUP_ID" in (found.failed().remedy or "")
    with members(
        {**values, "KAFKA_GROUP_ID": f"{values['KAFKA_GROUP_ID']}-2"},
        1,
        partition_assignment_strategy="range",
    ):
        found = await checked(probe, {**values, "KAFKA_GROUP_ID": f"{values['KAFKA_GROUP_ID']}-2"})
        assert "by 'range'" in alone(found, Verdict.WARNING)


async def test_a_session_that_the_brokers_refuse(each_kind: Listeners) -> None:
    short = {"KAFKA_SESSION_TIMEOUT_MS": "3000", "KAFKA_HEARTBEAT_INTERVAL_MS": "500"}
    failed = (await checked(probe, on(each_kind.kafka.bootstrap, each_kind, **short))).failed()
    assert failed.subject == "session timeout"
    assert "KAFKA_SESSION_TIMEOUT_MS=3000, and the brokers take 6000 to 1800000 only" in failed.seen
    assert "Set KAFKA_SESSION_TIMEOUT_MS=6000" in (failed.remedy or "")
