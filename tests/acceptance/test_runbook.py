"""The runbook: both languages say the same, every row is brought about, and what keeps a worker from starting is found."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from llm_service.observability.metric_names import ALL
from tests.acceptance.runbook.page import ENGLISH, RUSSIAN, not_shown, rows
from tests.acceptance.runbook.shell import run, shows
from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.ollama import Ollama
from tests.services.postgres import Postgres
from tests.standins.process import GigaChatProcess, gigachat

ROWS = rows(ENGLISH)
UNAVAILABLE, CONFIG = 69, 78
START_S = 110.0
WRONG_KEY = "c29tZS1pZDp3cm9uZy1zZWNyZXQtMTIz"

STARTS = {
    "bootstrap-kafka": UNAVAILABLE,
    "no-topic": UNAVAILABLE,
    "bootstrap-store": UNAVAILABLE,
    "no-bucket": UNAVAILABLE,
    "store-keys": UNAVAILABLE,
    "gigachat-key": UNAVAILABLE,
    "gigachat-scope": UNAVAILABLE,
    "certificate": UNAVAILABLE,
    "ollama-model": UNAVAILABLE,
    "postgres": UNAVAILABLE,
    "settings": CONFIG,
    "prompts": CONFIG,
    "port-taken": UNAVAILABLE,
    "log-folder": UNAVAILABLE,
    "temp-folder": UNAVAILABLE,
}
"""Rows of starts that do not come about, and the exit code of each. A log folder stops nobody: its port is taken too."""


# --- the page itself ------------------------------------------------------------------------------


def test_both_languages_hold_the_same_rows_commands_and_outputs() -> None:
    russian = rows(RUSSIAN)
    assert list(russian) == list(ROWS)
    assert russian == ROWS
    for heading in (r"^## ", r"^### ", r"^\| `?", r"^```sh$"):
        counts = [
            len(re.findall(heading, page.read_text("utf-8"), re.MULTILINE)) for page in (ENGLISH, RUSSIAN)
        ]
        assert counts[0] == counts[1], heading


def test_every_row_is_brought_about_by_a_test() -> None:
    tests = ("test_runbook_at_work.py", "test_rate.py")
    source = "".join(Path(__file__).with_name(name).read_text("utf-8") for name in tests)
    at_work = set(re.findall(r'ROWS\["([a-z0-9-]+)"\]', source))
    assert at_work | set(STARTS) == set(ROWS)
    assert not at_work & set(STARTS)


@pytest.mark.parametrize("page", [ENGLISH, RUSSIAN], ids=["english", "russian"])
def test_the_index_leads_to_every_row_and_nowhere_else(page: Path) -> None:
    text = page.read_text("utf-8")
    linked = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert linked <= set(ROWS)
    symptoms = text.partition("\n## ")[2].partition("\n## ")[0]
    assert set(re.findall(r"\]\(#([^)]+)\)", symptoms)) == set(ROWS) - {"backup"}
    for place in re.findall(r"\]\(([a-z][^)#]*\.md)", text):
        assert (page.parent / place).exists(), place


@pytest.mark.parametrize("page", [ENGLISH, RUSSIAN], ids=["english", "russian"])
def test_alerts_and_metrics_are_those_that_there_are(page: Path) -> None:
    text = page.read_text("utf-8")
    groups = yaml.safe_load((page.parents[1] / "deploy/prometheus/alerts.yml").read_text("utf-8"))["groups"]
    alerts = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    table = dict(re.findall(r"^\| `(LlmService\w+)` \| `(\w+)` \|", text, re.MULTILINE))
    assert table.keys() == alerts.keys()
    for alert, metric in table.items():
        assert metric in alerts[alert], alert
    for name in set(re.findall(r"\bllm_service_(\w+)", text)):
        assert name.removesuffix("_total") in ALL, name


# --- starts that do not come about ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended:
    """A start, how it ended and what it said."""

    environment: Mapping[str, str]
    code: str
    said: str


def changes(stage: Stage, postgres: Postgres, ollama: Ollama, port: int) -> Mapping[str, Mapping[str, str]]:
    """What is wrong in each, against settings that are right."""
    (stage.folder / "prompts.yaml").write_text("prompts: {7: {name: Seven, user: '{{nobody}}'}}")
    (stage.folder / "file").write_text("no folder")
    database = urlsplit(postgres.dsn)
    return {
        "bootstrap-kafka": {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
        "no-topic": {"KAFKA_TASKS_TOPIC": stage.kafka.unique("nobody-made-this")},
        "bootstrap-store": {"MINIO_ENDPOINT": "127.0.0.1:1"},
        "no-bucket": {"MINIO_BUCKET_NAME": "nobody-made-this"},
        "store-keys": {"MINIO_SECRET_KEY": "wrong-secret-123"},
        "gigachat-key": {"GIGACHAT_ACCESS_TOKEN": WRONG_KEY},
        "gigachat-scope": {"GIGACHAT_SCOPE": "GIGACHAT_API_PERS"},
        "certificate": {"GIGACHAT_CA_BUNDLE": ""},
        "ollama-model": {
            "GIGACHAT_ACCESS_TOKEN": "",
            "OLLAMA_BASE_URL": ollama.base_url,
            "OLLAMA_MODEL": "qwen3:8b",
        },
        "postgres": {
            "POSTGRES_ENABLED": "True",
            "POSTGRES_HOST": database.hostname or "",
            "POSTGRES_PORT": str(database.port),
            "POSTGRES_DATABASE": "postgres",
            "POSTGRES_USER": database.username or "",
            "POSTGRES_PASSWORD": "wrong-secret-123",
        },
        "settings": {"WORKER_MAX_CONCURRENT_TASKS": "many", "LOG_LEVEL": "loud"},
        "prompts": {"PROMPTS_FILE": str(stage.folder / "prompts.yaml")},
        "port-taken": {"HTTP_PORT": str(port)},
        "log-folder": {
            "LOG_DIR": str(stage.folder / "file" / "logs"),
            "HTTP_PORT": str(port),
        },
        "temp-folder": {"FILE_TEMP_FOLDER": str(stage.folder / "file" / "tmp")},
    }


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path_factory.mktemp("standin")) as running:
        # All at once ask for tokens, more often than the vendor lets one account.
        running.set(tokens_a_second=1000)
        yield running


@pytest.fixture(scope="module")
def stage(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    return Stage.build(kafka, minio, standin, tmp_path_factory.mktemp("starts"))


@pytest.fixture(scope="module")
def stranger() -> Iterator[int]:
    """Something else that has a port."""
    server = HTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


class Silent(BaseHTTPRequestHandler):
    """Knows no path, and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture(scope="module")
def ended(
    stage: Stage, postgres: Postgres, ollama: Ollama, stranger: int
) -> Iterator[Mapping[str, Future[Ended]]]:
    """Every start, some of them side by side."""
    wrong = changes(stage, postgres, ollama, stranger)
    assert wrong.keys() == STARTS.keys()

    def start(change: Mapping[str, str]) -> Ended:
        environment = {**stage.environment(HTTP_PORT="0"), **change}
        said, _, code = (
            run("llm-service run; echo $?", environment, stage.folder, START_S).strip().rpartition("\n")
        )
        return Ended(environment, code, said)

    # The first waits for 25 s and the others for a second or two; more than these at once only wait for processors.
    with ThreadPoolExecutor(4) as threads:
        yield {name: threads.submit(start, change) for name, change in wrong.items()}


@pytest.mark.parametrize("name", sorted(STARTS, key="bootstrap-kafka".__eq__))
def test_a_start_that_does_not_come_about(
    ended: Mapping[str, Future[Ended]], stage: Stage, name: str
) -> None:
    row, one = ROWS[name], ended[name].result(START_S)
    assert one.code == str(STARTS[name]), one.said
    assert row.log, "the page shows what the worker says"
    assert not_shown(row.log, one.said) == [], one.said
    shown = shows(row, one.environment, stage.folder)
    for secret in ("wrong-secret-123", WRONG_KEY):
        assert secret not in one.said + shown
    if row.cure:
        run(row.cure, one.environment, stage.folder)
        assert "FAILED" not in run(row.command, one.environment, stage.folder), "the cure cures"
