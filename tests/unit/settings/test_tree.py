"""The tree as data: every setting is described and bounded, and ``.env.example`` is made from it."""

from pathlib import Path

import pytest

from llm_service.settings import Settings, load
from llm_service.settings.clouds import CLOUD_GROUPS
from llm_service.settings.example import example
from llm_service.settings.tree import Setting, walk

EXAMPLE = Path(__file__).parents[3] / ".env.example"
SETTINGS = tuple(walk(Settings))


def test_the_example_is_the_one_made_from_the_tree() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == example(), (
        "run python -m llm_service.settings.example > .env.example"
    )


def test_the_example_with_its_names_taken_is_the_defaults(tmp_path: Path) -> None:
    # These two ask for another one (MINIO_ENDPOINT, OLLAMA_MODEL), which the defaults have not.
    incomplete = ("#MINIO_ENABLED=", "#OLLAMA_BASE_URL=")
    lines = [line for line in example().splitlines() if line[1:2] != " " and not line.startswith(incomplete)]
    file = tmp_path / ".env"
    file.write_text("\n".join(line.removeprefix("#") for line in lines))

    assert load(file, {}).model_dump() == Settings().model_dump()


def test_a_number_says_its_unit() -> None:
    by_name = {setting.name: setting.expected for setting in SETTINGS}
    assert by_name["LLM_RETRY_MAX_DELAY"] == "a number of seconds from 0 to 3600"
    assert by_name["KAFKA_COMMIT_INTERVAL_MS"] == "a whole number of milliseconds from 10 to 60000"
    assert by_name["FILE_MAX_BYTES"].startswith("a whole number of bytes from")
    assert by_name["OLLAMA_NUM_CTX_MAX"].startswith("a whole number of tokens from")
    assert by_name["WORKER_MAX_CONCURRENT_TASKS"] == "a whole number from 1 to 10000", "a count"


def test_no_name_of_a_setting_is_that_of_anothers_file() -> None:
    names = {name for setting in SETTINGS for name in setting.names}
    assert not {name for name in names if name.removesuffix("_FILE") in names and name.endswith("_FILE")}


def test_no_name_is_used_twice() -> None:
    names = [name for setting in SETTINGS for name in setting.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is(setting: Setting) -> None:
    assert setting.description.endswith(".")
    assert setting.expected
    assert setting.name.isupper()
    if setting.expected.startswith(("a number", "a whole number")):
        assert " from " in setting.expected, "a number needs bounds"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_default_is_a_right_value(setting: Setting) -> None:
    group = type(getattr(Settings(), setting.group))
    if setting.default and setting.name not in {"OLLAMA_BASE_URL", "MINIO_ENABLED"}:
        assert getattr(group.model_validate({setting.field: setting.default}), setting.field) is not None


def test_passwords_and_keys_are_secret() -> None:
    secret = {setting.name for setting in SETTINGS if setting.secret}
    assert secret == {
        *(f"{name.upper()}_API_KEY" for name in CLOUD_GROUPS),
        "GIGACHAT_ACCESS_TOKEN",
        "KAFKA_CONSUMER_EXTRA",
        "KAFKA_PRODUCER_EXTRA",
        "KAFKA_SASL_PASSWORD",
        "MINIO_ACCESS_KEY",
        "MINIO_SECRET_KEY",
        "POSTGRES_PASSWORD",
    }
