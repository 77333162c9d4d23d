"""Where values come from, how a text is read, and what is said when it is wrong."""

from pathlib import Path

import pytest

from llm_service.errors import SettingsInvalid
from llm_service.settings import Settings, load
from llm_service.settings.work import worker_id_for

CANARY = "canary-7f3a"


def wrong(**environ: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load(None, environ)
    assert caught.value.__cause__ is None
    return caught.value.message


def test_nothing_given_is_the_defaults() -> None:
    assert load(None, {}).model_dump() == Settings().model_dump()


def test_settings_read_nothing_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_GROUP_ID", "of-the-machine")
    monkeypatch.setenv("kafka", '{"group_id": "of-the-machine"}')
    assert Settings().kafka.group_id == "llm-worker-group"


def test_the_environment_wins_over_the_file_whatever_name_is_used(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("OLLAMA_BASE_URL=http://of-the-file:1\nOLLAMA_MODEL=of-the-file\nHTTP_PORT=9000\n")

    settings = load(file, {"OLLAMA_URL": "http://of-the-environment:1", "HTTP_PORT": ""})

    assert settings.ollama.base_url == "http://of-the-environment:1"
    assert settings.ollama.model == "of-the-file"
    assert settings.http.port == 9000
    assert settings.origin("OLLAMA_BASE_URL", "OLLAMA_URL") == "environment"
    assert settings.origin("OLLAMA_MODEL") == str(file)
    assert settings.origin("LOG_LEVEL") == "default"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("  spaced  ", "spaced"),
        ("a  # рабочая группа", "a"),
        ("a\t#b", "a"),
        ("a#b", "a#b"),
        ("#a", "#a"),
        ('"a # b"', "a # b"),
        ("'a # b'  # comment", "a # b"),
        ('"a', '"a'),
        ("группа", "группа"),
        ("${HOME}$x", "${HOME}$x"),
        (" # only a comment", "llm-worker-group"),
        ("", "llm-worker-group"),
        ('""', "llm-worker-group"),
    ],
)
def test_a_value_is_read_the_same_from_environment_and_file(text: str, value: str, tmp_path: Path) -> None:
    assert load(None, {"KAFKA_GROUP_ID": text}).kafka.group_id == value


@pytest.mark.parametrize(
    "line",
    [
        "KAFKA_GROUP_ID=a # b",
        "export KAFKA_GROUP_ID='a'",
        "\ufeffKAFKA_GROUP_ID=a\r\n",
        'KAFKA_GROUP_ID = "a"',
    ],
)
def test_forms_of_a_line_in_the_file(line: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(line.encode())
    assert load(file, {}).kafka.group_id == "a"


def test_the_file_expands_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=pa${PATH}ss$word\n")
    password = load(file, {}).postgres.password
    assert password is not None
    assert password.get_secret_value() == "pa${PATH}ss$word"


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("False", False), ("1", True), ("0", False), ("yes", True), ("NO", False)],
)
def test_words_for_true_and_false(text: str, *, value: bool) -> None:
    assert load(None, {"HTTP_ENABLED": text}).http.enabled is value


def test_words_are_read_in_any_case() -> None:
    settings = load(
        None, {"LOG_LEVEL": "debug", "KAFKA_AUTO_OFFSET_RESET": "Latest", "KAFKA_SECURITY_PROTOCOL": "SSL"}
    )
    assert settings.log.level == "DEBUG"
    assert settings.kafka.auto_offset_reset == "latest"
    assert settings.kafka.security_protocol == "ssl"


def test_a_comma_list_and_the_default_bucket() -> None:
    settings = load(None, {"MINIO_ALLOWED_BUCKETS": " scans, ,letters ", "MINIO_BUCKET_NAME": "inbox"})
    assert settings.minio.allowed_buckets == ("scans", "letters")
    assert settings.minio.readable_buckets == {"inbox", "scans", "letters"}


def test_all_wrong_ones_are_named_at_once_with_value_expectation_and_place(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("HTTP_PORT=99999\nLLM_RETRY_MAX_DELAY=nan\n")

    with pytest.raises(SettingsInvalid) as caught:
        load(
            file, {"WORKER_MAX_CONCURRENT_TASKS": "ten  # workers", "LOG_LEVEL": "loud", "OLLAMA_URL": "here"}
        )

    assert caught.value.message.splitlines() == [
        "6 things are wrong with the settings:",
        "  OLLAMA_URL='here' (from the environment): expected addresses that begin with https:// or http://",
        "  OLLAMA_MODEL (not set): required by OLLAMA_BASE_URL",
        "  WORKER_MAX_CONCURRENT_TASKS='ten' (from the environment): expected a whole number from 1 to 10000",
        f"  LLM_RETRY_MAX_DELAY='nan' (from {file}): expected a number of seconds from 0 to 3600",
        f"  HTTP_PORT='99999' (from {file}): expected a whole number from 0 to 65535",
        "  LOG_LEVEL='loud' (from the environment): expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ]


def test_a_misspelt_name_is_told_with_what_is_wrong() -> None:
    assert wrong(HTTP_PORT="x", GIGACHAT_TOKEN=CANARY).splitlines()[1:] == [
        "  HTTP_PORT='x' (from the environment): expected a whole number from 0 to 65535",
        "besides:",
        "  GIGACHAT_TOKEN (from the environment) is no setting and has no effect: did you mean GIGACHAT_ACCESS_TOKEN?",
    ]


def test_a_start_in_the_wrong_folder_is_told(tmp_path: Path) -> None:
    absent, empty = tmp_path / ".env", tmp_path / "empty.env"
    empty.write_text("# all commented out\n")
    (told,) = load(absent, {"PATH": "/bin"}).warnings()
    assert f"there is no {absent}" in told
    assert "--env-file" in told
    assert load(empty, {}).warnings() == ()
    assert load(absent, {"HTTP_PORT": "0"}).warnings() == ()
    assert load(None, {}).warnings() == ()


def test_what_a_wrong_value_asks_for_is_named_beside_it() -> None:
    message = wrong(
        MINIO_ENDPOINT="http://s3:9000",
        OLLAMA_BASE_URL="here",
        KAFKA_SECURITY_PROTOCOL="sasl_ssl",
        KAFKA_HEARTBEAT_INTERVAL_MS="often",
        KAFKA_SESSION_TIMEOUT_MS="1000",
    )
    assert [line.partition(":")[0].split("=")[0].strip() for line in message.splitlines()[1:]] == [
        "KAFKA_HEARTBEAT_INTERVAL_MS",
        "KAFKA_SASL_MECHANISM (not set), KAFKA_SASL_USERNAME (not set), KAFKA_SASL_PASSWORD (not set)",
        "MINIO_ENDPOINT",
        "MINIO_ACCESS_KEY (not set), MINIO_SECRET_KEY (not set)",
        "OLLAMA_BASE_URL",
        "OLLAMA_MODEL (not set)",
    ], "and nothing of the session that the heartbeat has to fit in, as nobody knows what it should be"


def test_a_wrong_protocol_is_not_told_twice() -> None:
    message = wrong(KAFKA_SECURITY_PROTOCOL="sasl-ssl", KAFKA_SASL_USERNAME="u")
    assert message.count("KAFKA_SECURITY_PROTOCOL") == 1


def test_production_and_a_wrong_value_are_named_together() -> None:
    message = wrong(APP_ENV="prod", GIGACHAT_ACCESS_TOKEN="k", GIGACHAT_VERIFY_SSL="0", HTTP_PORT="x")
    assert message.startswith("2 things are wrong")


def test_two_names_of_one_setting_with_different_values() -> None:
    message = wrong(BASE_URL="https://a.example", GIGACHAT_BASE_URL="https://b.example")
    assert "BASE_URL='https://a.example'" in message
    assert "GIGACHAT_BASE_URL='https://b.example'" in message
    assert (
        load(None, {"BASE_URL": "https://a", "GIGACHAT_BASE_URL": "https://a"}).gigachat.base_url
        == "https://a"
    )


def test_a_login_in_an_address_is_not_shown() -> None:
    message = wrong(OLLAMA_BASE_URL=f"ftp://user:{CANARY}@host")
    assert "ftp://<hidden>@host" in message
    assert CANARY not in message


def test_a_mode_that_does_not_exist_is_refused_in_words() -> None:
    assert "expected one of exactly_once, at_least_once" in wrong(KAFKA_DELIVERY="at_most_once")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"MINIO_ENDPOINT": "s3:9000", "MINIO_ACCESS_KEY": "a"}, ["MINIO_SECRET_KEY (not set)"]),
        ({"MINIO_ENABLED": "True"}, ["MINIO_ENDPOINT (not set)"]),
        (
            {"KAFKA_MAX_POLL_INTERVAL_MS": "10000", "KAFKA_SESSION_TIMEOUT_MS": "20000"},
            ["KAFKA_SESSION_TIMEOUT_MS='20000'", "KAFKA_MAX_POLL_INTERVAL_MS='10000'"],
        ),
        ({"MINIO_ENDPOINT": "http://s3:9000"}, ["MINIO_ENDPOINT='http://s3:9000'", "without http://"]),
        ({"OLLAMA_BASE_URL": "http://o:1"}, ["OLLAMA_MODEL (not set)", "required by OLLAMA_BASE_URL"]),
        (
            {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SASL_USERNAME": "u"},
            ["KAFKA_SASL_MECHANISM (not set)"],
        ),
        (
            {"KAFKA_SASL_USERNAME": "u"},
            ["KAFKA_SECURITY_PROTOCOL=plaintext (default)", "KAFKA_SASL_USERNAME='u'"],
        ),
        ({"KAFKA_SSL_KEY_LOCATION": "k"}, ["KAFKA_SSL_CERTIFICATE_LOCATION (not set)"]),
        ({"KAFKA_SESSION_TIMEOUT_MS": "1400"}, ["KAFKA_HEARTBEAT_INTERVAL_MS=500 (default)", "a third"]),
        (
            {"KAFKA_GROUP_PROTOCOL": "consumer", "KAFKA_GROUP_INSTANCE_ID": "a"},
            ["KAFKA_GROUP_INSTANCE_ID='a'"],
        ),
        (
            {"KAFKA_RETRY_TOPIC": "tasks_llm_dlq"},
            ["KAFKA_RETRY_TOPIC='tasks_llm_dlq'", "a topic of their own"],
        ),
        ({"KAFKA_DLQ_TOPIC": "tasks_llm"}, ["KAFKA_DLQ_TOPIC='tasks_llm'", "a topic of their own"]),
        ({"POSTGRES_POOL_MIN_SIZE": "30"}, ["POSTGRES_POOL_MIN_SIZE='30'", "POSTGRES_POOL_MAX_SIZE=20"]),
        (
            {"POSTGRES_ENABLED": "True", "POSTGRES_CA_BUNDLE": "ca.pem"},
            ["POSTGRES_CA_BUNDLE='ca.pem'", "POSTGRES_USE_SSL=False"],
        ),
        ({"LLM_RETRY_INITIAL_DELAY": "11"}, ["LLM_RETRY_INITIAL_DELAY='11'", "LLM_RETRY_MAX_DELAY=10.0"]),
        ({"WORKER_ID": "a b"}, ["WORKER_ID='a b'", "without spaces"]),
        ({"KAFKA_BOOTSTRAP_SERVERS": "kafka"}, ["host:port"]),
        ({"OLLAMA_KEEP_ALIVE": "long"}, ["such as 30s"]),
    ],
)
def test_what_does_not_go_together_is_named(environ: dict[str, str], named: list[str]) -> None:
    message = wrong(**environ)
    for part in named:
        assert part in message


def test_a_folder_stands_in_for_the_object_store(tmp_path: Path) -> None:
    settings = load(None, {"MINIO_ENABLED": "True", "STORAGE_FOLDER": str(tmp_path)})
    assert settings.minio.configured is False
    assert settings.minio.folder == tmp_path


def test_secrets_are_in_no_message_and_no_repr() -> None:
    message = wrong(
        GIGACHAT_ACCESS_TOKEN=CANARY, POSTGRES_PASSWORD=CANARY, MINIO_SECRET_KEY=CANARY, HTTP_PORT="x"
    )
    assert CANARY not in message

    settings = load(None, {"GIGACHAT_ACCESS_TOKEN": CANARY, "ACME_API_KEY": CANARY})
    assert CANARY not in repr(settings)
    assert CANARY not in str(settings)


def test_a_secret_that_is_refused_is_hidden() -> None:
    message = wrong(KAFKA_SASL_PASSWORD=CANARY)
    assert "KAFKA_SASL_PASSWORD=<hidden>" in message
    assert CANARY not in message


def test_a_long_wrong_value_is_shown_in_part() -> None:
    assert len(wrong(HTTP_PORT="9" * 5000)) < 400


@pytest.mark.parametrize("env", ["production", "Production", "prod"])
def test_production_refuses_what_is_unsafe(env: str) -> None:
    message = wrong(
        APP_ENV=env,
        GIGACHAT_ACCESS_TOKEN="key",
        GIGACHAT_VERIFY_SSL="False",
        MINIO_ENDPOINT="s3:9000",
        MINIO_ACCESS_KEY="k",
        MINIO_SECRET_KEY="minioadmin",
    )
    assert "GIGACHAT_VERIFY_SSL='False'" in message
    assert "MINIO_SECRET_KEY=<hidden>" in message


UNVERIFIED = [
    ({"GIGACHAT_ACCESS_TOKEN": "key", "GIGACHAT_VERIFY_SSL": "False"}, "gigachat", "GIGACHAT_VERIFY_SSL"),
    (
        {"POSTGRES_ENABLED": "True", "POSTGRES_USE_SSL": "True", "POSTGRES_VERIFY_SSL": "False"},
        "postgres",
        "POSTGRES_VERIFY_SSL",
    ),
    *(
        ({"KAFKA_SECURITY_PROTOCOL": protocol, name: off}, "kafka", name)
        for protocol in ("ssl", "sasl_ssl")
        for name in ("KAFKA_CONSUMER_EXTRA", "KAFKA_PRODUCER_EXTRA")
        for off in (
            "enable.ssl.certificate.verification=false",
            "enable.ssl.certificate.verification=0",
            "ssl.endpoint.identification.algorithm=none",
        )
    ),
]


@pytest.mark.parametrize(("values", "component", "name"), UNVERIFIED)
def test_each_way_to_verify_nobody_is_told_aloud_and_refused_in_production(
    values: dict[str, str], component: str, name: str
) -> None:
    login = {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}
    values = values | (login if values.get("KAFKA_SECURITY_PROTOCOL") == "sasl_ssl" else {})
    settings = load(None, values)
    assert {key for key, off in settings.unverified().items() if off} == {component}
    (said,) = [warning for warning in settings.warnings() if "NOT verified" in warning]
    assert name in said
    message = wrong(APP_ENV="production", **values)
    assert "refused in production" in message
    assert name in message


def test_without_tls_there_is_nothing_to_verify() -> None:
    off = {"KAFKA_CONSUMER_EXTRA": "enable.ssl.certificate.verification=false"}
    settings = load(None, off | {"POSTGRES_ENABLED": "True", "POSTGRES_VERIFY_SSL": "False"})
    assert not any(settings.unverified().values())


def test_production_takes_what_is_safe() -> None:
    settings = load(None, {"APP_ENV": "production", "GIGACHAT_ACCESS_TOKEN": "key"})
    assert settings.app.is_production
    assert settings.warnings() == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfeA\x00", "byte 0 is not UTF-8"),
        (b"A=1\n'broken\nB=2\n\"again\n", "can't be understood at line 2"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named_beside_all_else(
    content: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)
    with pytest.raises(SettingsInvalid) as caught:
        load(file, {"HTTP_PORT": "x"})
    assert f"{file} can't be" in caught.value.message
    assert said in caught.value.message
    assert "HTTP_PORT='x'" in caught.value.message


def test_a_folder_in_place_of_the_file_is_named_with_its_usual_cause(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="it is a folder; Docker makes one"):
        load(tmp_path, {})


def test_a_name_that_stands_twice_in_the_file_is_told_without_its_values(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"MINIO_SECRET_KEY={CANARY}\nHTTP_PORT=1\nHTTP_PORT=1\nMINIO_SECRET_KEY=other\n")
    (remark,) = load(file, {}).warnings()
    assert remark.startswith("MINIO_SECRET_KEY stands in")
    assert CANARY not in remark


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / ".env", {}).http.port == 8081


def test_options_of_a_third_partys_provider(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("ACME_CLOUD_API_KEY=of-the-file\nACME_CLOUD_REGION=eu # near\n")
    settings = load(file, {"ACME_CLOUD_API_KEY": "of-the-environment", "ACME_CLOUD_": "x", "ACME": "y"})
    assert settings.provider_options("acme-cloud") == {"api_key": "of-the-environment", "region": "eu"}


def test_a_worker_has_the_name_existing_readers_know() -> None:
    assert worker_id_for("host", 1) == worker_id_for("host", 1)
    assert worker_id_for("host", 1) != worker_id_for("host", 2)
    prefix, number = worker_id_for("host", 1).rsplit("_", 1)
    assert prefix == "LLM_worker"
    assert number.isdecimal()
    assert load(None, {"WORKER_ID": "LLM_worker_7"}).worker.worker_id == "LLM_worker_7"


def test_all_secrets_are_known_to_those_who_must_hide_them() -> None:
    settings = load(
        None, {"GIGACHAT_ACCESS_TOKEN": "a", "MINIO_SECRET_KEY": "b", "ACME_API_KEY": "c", "ACME_REGION": "d"}
    )
    assert set(settings.secrets()) == {"a", "b", "c"}
    assert Settings().secrets() == ()


@pytest.mark.parametrize(
    ("name", "values", "options"),
    [
        ("my", {"MY_KEY": "1", "MY_BASE_URL": "2", "MYOTHER_KEY": "3"}, {"key": "1", "base_url": "2"}),
        ("my-model", {"MY_MODEL_KEY": "1", "MY_KEY": "2"}, {"key": "1"}),
        ("my.model", {"MY_MODEL_KEY": "1"}, {"key": "1"}),
        ("my", {"MY_": "1"}, {}),
    ],
)
def test_a_third_partys_options_are_those_with_its_prefix(
    name: str, values: dict[str, str], options: dict[str, str]
) -> None:
    assert load(None, values).provider_options(name) == options
