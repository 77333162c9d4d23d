"""Values that are the content of a file: ``NAME_FILE`` in the environment or ``.env``, and the secrets folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llm_service.errors import SettingsInvalid
from llm_service.settings import Settings, load, secret_files
from llm_service.settings.tree import names_in, walk

CANARY = "canary-7f3a91"


@pytest.fixture(autouse=True)
def no_usual_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The machine's own secrets stay out of it."""
    folder = tmp_path / "run-secrets"
    monkeypatch.setattr(secret_files, "USUAL_FOLDER", folder)
    return folder


def file(path: Path, content: str | bytes = CANARY + "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def secret_key(settings: Settings) -> str | None:
    key = settings.minio.secret_key
    return None if key is None else key.get_secret_value()


def refused(env_file: Path | None = None, **environ: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load(env_file, environ)
    return caught.value.message


@pytest.mark.parametrize("name", sorted(names_in(Settings) - {"SECRETS_DIR"}))
def test_every_name_can_be_given_by_file(name: str, tmp_path: Path) -> None:
    setting = next(setting for setting in walk(Settings) if name in setting.names)
    # A value nobody can take for right: where it is refused it was read, where it is not it is text.
    place = file(tmp_path / "value", "\x01 no right value")
    origin, said = "", ""
    try:
        origin = load(None, {f"{name}_FILE": str(place)}).origin(*setting.names)
    except SettingsInvalid as error:
        said = error.message
    refused = f"{name}=" in said and f"(from file {place})" in said
    # What asks for another setting beside it was read too.
    assert origin == f"file {place}" or refused or f"required by {name}" in said


def test_the_content_is_the_value_as_it_is(tmp_path: Path) -> None:
    place = file(tmp_path / "key", '\ufeff"a # b"\r\n')
    assert secret_key(load(None, {"MINIO_SECRET_KEY_FILE": str(place)})) == '"a # b"'


def test_a_file_can_be_named_in_the_dotenv_file_too(tmp_path: Path) -> None:
    place = file(tmp_path / "key")
    env_file = file(tmp_path / ".env", f"MINIO_SECRET_KEY_FILE={place}\n")
    settings = load(env_file, {})
    assert secret_key(settings) == CANARY
    assert settings.origin("MINIO_SECRET_KEY") == f"file {place}"
    assert CANARY in settings.secrets()


def test_which_place_wins(tmp_path: Path, no_usual_folder: Path) -> None:
    by_environment = file(tmp_path / "environment", "of-the-environment")
    by_dotenv = file(tmp_path / "dotenv", "of-the-dotenv")
    file(no_usual_folder / "minio_secret_key", "of-the-folder")
    env_file = file(tmp_path / ".env", f"MINIO_SECRET_KEY_FILE={by_dotenv}\n")

    assert secret_key(load(None, {})) == "of-the-folder"
    assert secret_key(load(env_file, {})) == "of-the-dotenv"
    assert secret_key(load(env_file, {"MINIO_SECRET_KEY_FILE": str(by_environment)})) == "of-the-environment"
    assert secret_key(load(env_file, {"MINIO_SECRET_KEY": "itself"})) == "itself"


def test_both_ways_in_one_place_is_an_error(tmp_path: Path) -> None:
    place = file(tmp_path / "key")
    message = refused(MINIO_SECRET_KEY=CANARY, MINIO_SECRET_KEY_FILE=str(place))
    assert "MINIO_SECRET_KEY: MINIO_SECRET_KEY_FILE gives it too, both in the environment" in message
    assert CANARY not in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("", "it is empty"),
        (" \n", "it is empty"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b"a" * (1024 * 1024 + 1), "larger than 1048576 bytes"),
    ],
)
def test_a_file_that_gives_no_value_is_named(content: str | bytes | None, said: str, tmp_path: Path) -> None:
    place = tmp_path / "key"
    if content is not None:
        file(place, content)
    message = refused(MINIO_ENDPOINT="s3:9000", MINIO_ACCESS_KEY="a", MINIO_SECRET_KEY_FILE=str(place))
    assert message.splitlines()[0] == "1 thing is wrong with the settings:", "not missing as well"
    assert f"MINIO_SECRET_KEY_FILE names {place}, which can't be used: " in message
    assert said in message


@pytest.mark.parametrize("place", ["/dev/zero", "/proc"])
def test_what_has_no_end_is_not_read(place: str) -> None:
    assert "it is not a file" in refused(MINIO_SECRET_KEY_FILE=place)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is not a file" in refused(MINIO_SECRET_KEY_FILE=str(tmp_path / "pipe"))


def test_a_secret_in_the_place_of_its_files_name_is_not_shown() -> None:
    assert CANARY not in refused(MINIO_SECRET_KEY_FILE=CANARY)


def test_a_folder_of_files_named_as_the_settings(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    file(folder / "MINIO_SECRET_KEY")
    file(folder / "gigachat_access_token", "key-of-the-vendor\n")
    file(folder / "postgres_password", "\n")
    file(folder / "..data" / "MINIO_ACCESS_KEY", "not for us")
    settings = load(None, {"SECRETS_DIR": str(folder)})
    assert secret_key(settings) == CANARY
    assert settings.gigachat.access_token is not None
    assert settings.gigachat.access_token.get_secret_value() == "key-of-the-vendor"
    assert settings.postgres.password is None, "an empty value is an unset one"
    assert settings.minio.access_key is None
    assert settings.origin("MINIO_SECRET_KEY") == f"file {folder / 'MINIO_SECRET_KEY'}"


def test_the_folder_can_be_named_in_the_dotenv_file(tmp_path: Path) -> None:
    file(tmp_path / "secrets" / "minio_secret_key")
    env_file = file(tmp_path / ".env", f"SECRETS_DIR={tmp_path / 'secrets'}\n")
    assert secret_key(load(env_file, {})) == CANARY


def test_the_usual_folder_need_not_be_there_and_one_that_is_named_must() -> None:
    assert load(None, {}).minio.secret_key is None
    assert "SECRETS_DIR: /nobody/made can't be read as a folder" in refused(SECRETS_DIR="/nobody/made")


def test_a_file_of_the_folder_that_is_misspelt_is_told(tmp_path: Path, no_usual_folder: Path) -> None:
    file(tmp_path / "secrets" / "minio_secret_kei")
    file(tmp_path / "secrets" / "of_somebody_else")
    file(no_usual_folder / "minio_secret_kei")
    (remark,) = load(None, {"SECRETS_DIR": str(tmp_path / "secrets")}).warnings()
    assert "minio_secret_kei" in remark
    assert "did you mean MINIO_SECRET_KEY?" in remark
    assert load(None, {}).warnings() == (), "the usual folder holds what others in the container need"


def test_a_wrong_value_out_of_a_file_says_which(tmp_path: Path) -> None:
    place = file(tmp_path / "port", "many")
    assert f"HTTP_PORT='many' (from file {place}): expected a whole number" in refused(
        HTTP_PORT_FILE=str(place)
    )


def test_the_secrets_of_a_third_partys_provider_can_be_given_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.settings.loading.installed_families", lambda: ("ACME_",))
    place = file(tmp_path / "key")
    environ = {
        "ACME_API_KEY_FILE": str(place),
        "ACME_WORDS_FILE": "/a/path/of/theirs",
        "OTHER_KEY_FILE": "/nowhere",
    }
    settings = load(None, environ)
    assert settings.provider_options("acme")["api_key"] == CANARY
    assert settings.provider_options("acme")["words_file"] == "/a/path/of/theirs"
    assert CANARY in settings.secrets()
