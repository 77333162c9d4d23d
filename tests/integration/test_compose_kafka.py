"""The compose file's Kafka settings on the broker itself: it starts, is found well, and sends clients where they can go."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.services import kafka_own
from tests.services.cache import Cache
from tests.services.commands import run
from tests.services.kafka import Kafka
from tests.services.ports import free_port
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.toolchains import java
from tests.services.wishes import Wishes
from tests.unit.deploy.compose_file import ComposeFile

# What the image takes when CLUSTER_ID is not set.
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
OF_JAVA = {"KAFKA_HEAP_OPTS"}


@dataclass(frozen=True, slots=True)
class Composed:
    """A broker with the compose file's settings, on ports of this test."""

    broker: Kafka
    ports: Mapping[str, int]
    """By the port that the compose file names."""


def properties(environment: Mapping[str, str]) -> dict[str, str]:
    """server.properties as the image makes it of its environment."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_") and name not in OF_JAVA
    }


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    folder, ports = (
        tmp_path_factory.mktemp("kafka"),
        {port: free_port() for port in ("9092", "9093", "29092")},
    )
    wanted = properties(ComposeFile().environment("kafka"))
    wanted["log.dirs"] = str(folder / "data")
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        for port, mine in ports.items():
            wanted[name] = wanted[name].replace(f":{port}", f":{mine}")
    file = folder / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))
    jars = kafka_own.prepare(Cache(Wishes.read().cache, print))
    launch = [java(), "-XX:TieredStopAtLevel=1", *heap(), "-cp", f"{jars}/*"]
    run([*launch, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file)], limit_s=60)
    reaper = Reaper()
    process = OwnProcess([*launch, "kafka.Kafka", str(file)], folder, reaper)
    try:
        broker = Kafka(f"127.0.0.1:{ports['29092']}", process, "Kafka as composed")
        broker.start()
        yield Composed(broker, ports)
    finally:
        process.kill()
        reaper.close()


def heap() -> list[str]:
    return ComposeFile().environment("kafka")["KAFKA_HEAP_OPTS"].split()


def test_each_client_is_sent_to_an_address_that_it_can_reach(composed: Composed) -> None:
    def told(port: str) -> str:
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{composed.ports[port]}", "log_level": 0})
        (broker,) = admin.list_topics(timeout=10).brokers.values()
        return f"{broker.host}:{broker.port}"

    assert told("29092") == f"localhost:{composed.ports['29092']}", "this machine's clients"
    assert told("9092") == f"kafka:{composed.ports['9092']}", "those in containers"


def test_one_broker_is_enough_for_all_it_keeps(composed: Composed) -> None:
    """A topic that wants three copies, as Kafka's own defaults do, would never be made."""
    topic = composed.broker.topic("tasks", 3)
    group = {"bootstrap.servers": composed.broker.bootstrap, "group.id": composed.broker.unique("group")}
    consumer = Consumer({**group, "log_level": 0})
    try:
        place = TopicPartition(topic, 0, 0)
        _committed(consumer, place)
        assert [found.offset for found in consumer.committed([place], timeout=20)] == [0]
    finally:
        consumer.close()


def _committed(consumer: Consumer, place: TopicPartition) -> None:
    """The coordinator's topic is being made at the first try."""
    deadline = time.monotonic() + 20
    while True:
        try:
            consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_COORDINATOR or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def test_the_health_check_tells_a_broker_from_none(composed: Composed) -> None:
    (how, *command) = ComposeFile().services["kafka"]["healthcheck"]["test"]
    assert how == "CMD"

    def judged(port: int) -> int:
        words = [word.replace("/9092", f"/{port}") for word in command]
        return subprocess.run(words, stderr=subprocess.DEVNULL, timeout=10, check=False).returncode

    assert judged(composed.ports["9092"]) == 0
    assert judged(free_port()) != 0
