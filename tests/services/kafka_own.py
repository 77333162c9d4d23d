"""Kafka without Docker: its jars by Maven, a process on a Java of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from tests.services.cache import Cache
from tests.services.commands import run, version_of
from tests.services.kafka import VERSION, Kafka, write_properties
from tests.services.ports import free_port
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.toolchains import java, maven

# The scripts of Kafka's distribution bring log4j beside the jars that its own pom names.
_LOG4J = "2.25.2"
_ARTEFACTS = (
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.logging.log4j", "log4j-core", _LOG4J),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", _LOG4J),
)
# The first compiler alone and a small heap: up in 1.7 s with 300 MB, and as fast as a test needs.
_JAVA_OPTIONS = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")


def prepare(cache: Cache) -> Path:
    """The folder of jars. Raises Unavailable."""
    return cache.get(f"kafka-{VERSION}", _pom(), _copy_jars) / "libs"


def start(cache: Cache, reaper: Reaper, folder: Path) -> Kafka:
    """A broker on free ports with its data in the folder. Raises Unavailable."""
    jars, java_path = prepare(cache), java()
    port, controller_port = free_port(), free_port()
    properties = folder / "server.properties"
    write_properties(properties, port, controller_port, folder / "data")
    launch = [java_path, *_JAVA_OPTIONS, "-cp", f"{jars}/*"]
    identity = uuid4().hex[:22]
    run([*launch, "kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)], limit_s=60)
    # CLASSPATH and JAVA_TOOL_OPTIONS of the caller must not change the broker.
    env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    process = OwnProcess([*launch, "kafka.Kafka", str(properties)], folder, reaper, env)
    version = version_of([java_path, "-version"], r'version "([\d.]+)')
    of_java = ".".join(map(str, version or ()))
    kafka = Kafka(f"127.0.0.1:{port}", process, f"Kafka {VERSION}, own process on Java {of_java}")
    kafka.start()
    return kafka


def _copy_jars(draft: Path) -> None:
    pom = draft / "pom.xml"
    pom.write_text(_pom())
    run(
        [
            maven(),
            "-q",
            "-B",
            "-f",
            str(pom),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={draft / 'libs'}",
        ],
        cwd=draft,
    )


def _pom() -> str:
    wanted = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in _ARTEFACTS
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>testbed</groupId><artifactId>kafka</artifactId><version>1</version>"
        f"<dependencies>{wanted}</dependencies></project>\n"
    )
