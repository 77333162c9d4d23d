"""``llm-service config``: what is in force and from where; never a secret."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from llm_service.cli.configuration.table import settings_table
from llm_service.cli.main import main
from llm_service.settings import Settings, load
from llm_service.settings.in_force import in_force
from llm_service.settings.tree import walk

CANARY = "canary-7f3a91"
SECRETS = {
    "GIGACHAT_ACCESS_TOKEN": CANARY,
    "MINIO_ACCESS_KEY": CANARY,
    "MINIO_SECRET_KEY": CANARY,
    "POSTGRES_PASSWORD": CANARY,
    "KAFKA_CONSUMER_EXTRA": f"client.rack=r1, sasl.oauthbearer.client.secret={CANARY}",
    "KAFKA_PRODUCER_EXTRA": json.dumps({"ssl.key.password": CANARY}),
    "MINIO_ENDPOINT": "s3:9000",
    "OLLAMA_BASE_URL": f"http://user:{CANARY}@host:1",
    "OLLAMA_MODEL": "tiny",
}


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and an environment without settings."""
    for name in set(os.environ) - {"PATH", "HOME"}:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def config(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments], env=environ)


def rows(*arguments: str, **environ: str) -> dict[str, dict[str, Any]]:
    result = config("--json", *arguments, **environ)
    assert result.exit_code == 0, result.output
    return {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}


def test_every_setting_is_a_line_of_name_value_and_origin(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTP_PORT=9000  # порт\nKAFKA_GROUP_ID=группа\n")
    (tmp_path / "level").write_text("DEBUG\n")
    result = config(KAFKA_GROUP_ID="mine", LOG_LEVEL_FILE=str(tmp_path / "level"))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == [setting.name for setting in walk(Settings)]
    by_name = {name: (value, origin) for name, value, origin in lines}
    assert by_name["KAFKA_GROUP_ID"] == ("mine", "environment")
    assert by_name["HTTP_PORT"] == ("9000", ".env")
    assert by_name["LOG_LEVEL"] == ("DEBUG", f"file {tmp_path / 'level'}")
    assert by_name["KAFKA_TASKS_TOPIC"] == ("tasks_llm", "default")
    assert by_name["KAFKA_STATUS_TOPIC"] == ("", "default")
    assert by_name["WORKER_ID"][0].startswith("LLM_worker_")


def test_only_what_differs_from_its_default(tmp_path: Path) -> None:
    found = rows("--changed", HTTP_PORT="8081", LOG_LEVEL="DEBUG", MINIO_ALLOWED_BUCKETS="b, a")
    assert {name: row["value"] for name, row in found.items()} == {
        "LOG_LEVEL": "DEBUG",
        "MINIO_ALLOWED_BUCKETS": "b,a",
    }


def test_a_secret_is_only_said_to_be_set() -> None:
    found = rows(**SECRETS)
    assert found["GIGACHAT_ACCESS_TOKEN"]["set"] is True
    assert found["GIGACHAT_ACCESS_TOKEN"]["value"] is None
    assert found["KAFKA_SASL_PASSWORD"]["set"] is False
    assert found["OLLAMA_BASE_URL"]["value"] == "http://<hidden>@host:1"
    table = Console(file=io.StringIO(), width=200)
    table.print(settings_table(list(in_force(load(None, SECRETS))), 200))
    assert isinstance(table.file, io.StringIO)
    for said in (
        config(**SECRETS).output,
        config("--json", **SECRETS).output,
        config(*SECRETS, **SECRETS).output,
        table.file.getvalue(),
    ):
        assert "MINIO_SECRET_KEY" in said
        assert CANARY not in said
    assert (
        "KAFKA_CONSUMER_EXTRA\t<hidden> client.rack,sasl.oauthbearer.client.secret\t"
        in config(**SECRETS).stdout
    )


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_keeps_to_its_width_and_marks_what_differs_without_colours(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    settings = load(None, {"LOG_LEVEL": "DEBUG", "KAFKA_GROUP_ID": "g" * 100})
    console.print(settings_table(list(in_force(settings)), width))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert {line.split()[1] for line in lines if line.startswith("*")} == {"LOG_LEVEL", "KAFKA_GROUP_ID"}
    assert "GIGACHAT_REQUEST_TIMEOUT_SECONDS" in " ".join(lines).split(), "names are whole"
    assert "".join(lines).count("g" * 8) > 1


def test_one_setting_with_all_about_it_by_any_of_its_names() -> None:
    result = config("gigachat_base_url", BASE_URL="https://a.example")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert said.startswith(
        "BASE_URL=https://a.example from environment what Address of the API. expected an address"
    )
    assert "default https://gigachat.devices.sberbank.ru" in said
    assert "GIGACHAT_BASE_URL, BASE_URL_FILE" in said


def test_a_name_that_is_none_is_told_with_the_nearest() -> None:
    result = config("KAFKA_GRUOP_ID")
    assert result.exit_code == 2
    assert "There is no setting KAFKA_GRUOP_ID: did you mean KAFKA_GROUP_ID?" in result.stderr
    assert result.stdout == ""


def test_warnings_go_to_stderr() -> None:
    result = config("--changed", GIGACHAT_ACCESS_TOKEN="key", GIGACHAT_VERIFY_SSL="False", HTTP_PROT="1")
    assert result.exit_code == 0
    assert "warning: TLS certificates of GigaChat are NOT verified" in result.stderr
    assert "warning: HTTP_PROT" in result.stderr
    assert "warning" not in result.stdout


def test_wrong_settings_are_all_named_on_stderr_and_nothing_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"HTTP_PORT=99999\nGIGACHAT_ACCESS_TOKEN={CANARY}\n")
    result = config(
        KAFKA_CONSUMER_EXTRA="fetch.min.byte=1, enable.auto.commit=true",
        LLM_PROVIDER="chatty",
        PROMPTS_FILE="/nobody/made.yaml",
        GIGACHAT_CA_BUNDLE="/nobody/made.pem",
        KAFKA_SSL_CA_LOCATION="/nobody/made.crt",
        POSTGRES_ENABLED="True",
        POSTGRES_USE_SSL="True",
        POSTGRES_CA_BUNDLE="/nobody/made.ca",
    )
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr.splitlines()[0] == "8 things are wrong with the settings:"
    for part in (
        "HTTP_PORT='99999' (from .env)",
        "enable.auto.commit is refused",
        "fetch.min.byte (No such configuration property",
        "LLM_PROVIDER='chatty'",
        "/nobody/made.yaml",
        "GIGACHAT_CA_BUNDLE='/nobody/made.pem' (from the environment): it can't be read: No such file",
        "KAFKA_SSL_CA_LOCATION='/nobody/made.crt'",
        "POSTGRES_CA_BUNDLE='/nobody/made.ca' (from the environment): it can't be read: No such file",
    ):
        assert part in result.stderr
    assert CANARY not in result.stderr


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    result = config("--env-file", "prod.env")
    assert result.exit_code == 2
    assert "there is no file prod.env" in result.stderr
    (tmp_path / "prod.env").write_text("HTTP_PORT=1")
    assert rows("--env-file", "prod.env")["HTTP_PORT"]["origin"] == "prod.env"


def test_a_folder_in_place_of_the_file_ends_with_78(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    result = config()
    assert result.exit_code == 78
    assert ".env can't be read: it is a folder" in result.stderr


def test_a_name_or_value_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KAFKA_GROUP_ID=a\x1b[31mb\nHTTP_PORT\x1b=1\n")
    assert "\x1b" not in config().output
    assert "\x1b" not in config("--json").output


def test_names_complete_themselves() -> None:
    result = CliRunner().invoke(
        main,
        prog_name="llm-service",
        env={
            "_LLM_SERVICE_COMPLETE": "bash_complete",
            "COMP_WORDS": "llm-service config KAFKA_GROUP",
            "COMP_CWORD": "2",
        },
    )
    assert "plain,KAFKA_GROUP_ID" in result.output.splitlines()
