"""Fixtures of the scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess, OpenAIProcess, gigachat, openai


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[GigaChatProcess]:
    """GigaChat's stand-in over TLS, with a log of its own."""
    with gigachat(folder=tmp_path) as running:
        yield running


@pytest.fixture
def stage(kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path) -> Stage:
    """Separate topics of 12 partitions each."""
    return Stage.build(kafka, minio, standin, tmp_path)


@pytest.fixture(scope="module")
def first() -> Iterator[OpenAIProcess]:
    """The provider that a task asks first, by OpenAI's protocol."""
    with openai("openai") as running:
        yield running


@pytest.fixture(scope="module")
def second() -> Iterator[OpenAIProcess]:
    """Whom it falls back to."""
    with openai("openrouter") as running:
        yield running
