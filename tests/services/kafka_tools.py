"""Kafka's command line tools: the programs behind kafka-topics.sh and the others, as they come with its release."""

from __future__ import annotations

from pathlib import Path

from tests.services.cache import Cache
from tests.services.commands import run
from tests.services.kafka import VERSION
from tests.services.toolchains import maven

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>testbed</groupId><artifactId>kafka-tools</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version></dependency>
</dependencies></project>
"""


def prepare(cache: Cache) -> Path:
    """The folder of jars. Raises Unavailable."""
    return cache.get(f"kafka-tools-{VERSION}", _POM, _copy_jars) / "libs"


def _copy_jars(draft: Path) -> None:
    (draft / "pom.xml").write_text(_POM)
    output = f"-DoutputDirectory={draft / 'libs'}"
    run([maven(), "-q", "-B", "dependency:copy-dependencies", output], cwd=draft)
