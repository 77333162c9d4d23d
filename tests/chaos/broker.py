"""A Kafka of this run alone, with a second listener whose clients are sent through a proxy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.services.cache import Cache
from tests.services.commands import run
from tests.services.kafka import PROPERTIES, VERSION, Kafka
from tests.services.kafka_own import prepare
from tests.services.ports import free_port
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.toolchains import java
from tests.services.wishes import Wishes

_OPTIONS = ("-Xmx768m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")


@dataclass(frozen=True, slots=True)
class Broker:
    """Its plain listener is ``kafka.bootstrap``."""

    kafka: Kafka
    behind: int
    """The port that the proxy must lead to."""
    advertised: int
    """The port that the proxy must listen on."""


def start(reaper: Reaper, folder: Path) -> Broker:
    """Raises Unavailable."""
    cache = Cache(Wishes.read().cache, lambda _: None)
    jars, java_path = prepare(cache), java()
    plain, behind, advertised, controller = (free_port() for _ in range(4))
    own = {
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},PROXIED://127.0.0.1:{advertised}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "log.dirs": str(folder / "data"),
    }
    properties = folder / "server.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in {**PROPERTIES, **own}.items()))
    launch = [java_path, *_OPTIONS, "-cp", f"{jars}/*"]
    identity = uuid4().hex[:22]
    run([*launch, "kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)], limit_s=60)
    env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    process = OwnProcess([*launch, "kafka.Kafka", str(properties)], folder, reaper, env)
    kafka = Kafka(f"127.0.0.1:{plain}", process, f"Kafka {VERSION}, own process")
    kafka.start()
    return Broker(kafka, behind, advertised)
