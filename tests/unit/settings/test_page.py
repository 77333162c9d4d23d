"""The page of settings is the one made from the tree, and what it says by hand holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llm_service.container.inspection import inspect
from llm_service.errors import SettingsInvalid
from llm_service.settings import Settings, load
from llm_service.settings.page import page
from llm_service.settings.properties import of_connection
from llm_service.settings.tree import names_in, walk

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_is_the_one_made_from_the_tree() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run python -m llm_service.settings.page > docs/settings.md"
    )


def test_every_setting_has_its_row() -> None:
    rows = {line.split("|")[1].strip(" `") for line in page().splitlines() if line.startswith("| `")}
    assert {setting.name for setting in walk(Settings)} <= rows


def test_every_name_on_the_page_is_a_setting() -> None:
    """So that a setting that is renamed does not live on in the words around the tables."""
    known = {*names_in(Settings), "KAFKA_GROUP", "ACME_CLOUD_", "ACME_CLOUD_API_KEY_FILE", "CIRCUIT_BREAKER_"}
    families = "KAFKA|GIGACHAT|MINIO|POSTGRES|WORKER|LLM|HTTP|LOG|FILE|APP|DEDUP|EXECUTOR|SECRETS|CIRCUIT|ACME|OLLAMA"
    named = set(re.findall(rf"\b(?:{families})_[A-Z_]+\b", page()))
    assert named - known - {"GIGACHAT_API_PERS", "GIGACHAT_API_CORP", "GIGACHAT_API_B"} == set()


def test_the_message_on_the_page_is_the_one_that_is_shown(tmp_path: Path) -> None:
    shown = page().partition("```text\n")[2].partition("```")[0].splitlines()
    file = tmp_path / ".env"
    file.write_text("KAFKA_CONSUMER_EXTRA=fetch.min=1\nMINIO_ENDPOINT=s3:9000\nMINIO_ACCESS_KEY=a\n")
    with pytest.raises(SettingsInvalid) as caught:
        load(file, {"HTTP_PORT": "99999"}, inspect)
    assert caught.value.message.replace(str(file), ".env").splitlines() == shown


def test_the_properties_on_the_page_are_taken() -> None:
    block = page().partition("```bash\n")[2].partition("```")[0]
    settings = load(None, dict(line.split("=", 1) for line in block.splitlines()), inspect)
    assert [name for name, _ in settings.kafka.consumer_extra] == ["client.rack", "fetch.max.bytes"]
    assert dict(settings.kafka.producer_extra)["ssl.key.password"].get_secret_value() == "a, b"


def test_the_beginnings_of_connection_properties_on_the_page_are_those_in_use() -> None:
    sentence = (
        " ".join(page().split())
        .partition("`KAFKA_CONSUMER_EXTRA` that begin with ")[2]
        .partition("are every")[0]
    )
    beginnings = re.findall(r"`([a-z0-9.]+\.)`", sentence)
    text = ",".join(f"{beginning}x=1" for beginning in beginnings)
    extra = Settings.model_validate({"kafka": {"producer_extra": text}}).kafka.producer_extra
    assert len(extra) == 11
    assert of_connection(extra) == extra
