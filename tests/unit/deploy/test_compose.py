"""docker-compose.yml without a Docker daemon: its form, what it says to the services, and what it gives away."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from llm_service.settings import load
from llm_service.settings.root import Settings
from llm_service.settings.tree import walk
from tests.services import kafka
from tests.unit.deploy.compose_file import COMPOSE, PROGRAM, PROJECT, ComposeFile, names_of_variables
from tests.unit.settings.test_deployment_env import DEPLOYMENT

KNOWN = {name for setting in walk(Settings) for name in setting.names}
DEFAULTS = {setting.name: setting.default for setting in walk(Settings)}
MB = 1024 * 1024


@pytest.fixture
def compose() -> ComposeFile:
    return ComposeFile()


def test_it_is_what_the_compose_specification_allows() -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [tool, "--builtin-schema", "vendor.compose-spec", COMPOSE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_setting_that_it_names_is_one(compose: ComposeFile) -> None:
    ours = list(compose.of_ours())
    assert set(ours) == {"worker", "topics", "bucket"}
    for name in ours:
        assert set(compose.environment(name)) <= KNOWN


def test_its_settings_start_the_worker_and_give_no_reason_to_warn(compose: ComposeFile) -> None:
    settings = load(None, compose.environment("worker"))

    assert settings.warnings() == ()
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.minio.configured
    assert settings.postgres.enabled
    assert not settings.gigachat.configured, "the built-in provider answers without any key"
    assert settings.ollama.model is None


def test_all_of_ours_are_set_up_alike(compose: ComposeFile) -> None:
    assert compose.environment("topics") == compose.environment("bucket") == compose.environment("worker")


def test_the_env_file_of_the_service_before_works_too() -> None:
    given = {name: value for name, value in dotenv_values(DEPLOYMENT).items() if value is not None}
    compose = ComposeFile(given)

    settings = load(None, {**given, **compose.environment("worker")})

    assert settings.kafka.bootstrap_servers == "kafka:9092", "its localhost would be the container itself"
    assert (settings.minio.endpoint, settings.postgres.host, settings.postgres.port) == (
        "minio:9000",
        "postgres",
        5432,
    )
    assert settings.gigachat.configured
    assert settings.worker.max_concurrent_tasks == 10
    assert settings.minio.secret_key is not None
    assert compose.environment("minio")["MINIO_ROOT_PASSWORD"] == settings.minio.secret_key.get_secret_value()
    assert compose.environment("postgres")["POSTGRES_DB"] == settings.postgres.database


def test_a_model_of_ollama_brings_its_server_s_address_along() -> None:
    compose = ComposeFile({"OLLAMA_MODEL": "qwen3:4b"})

    settings = load(None, compose.environment("worker"))

    assert (settings.ollama.model, settings.ollama.base_url) == ("qwen3:4b", "http://ollama:11434")
    assert compose.environment("model") == {"OLLAMA_HOST": "http://ollama:11434", "OLLAMA_MODEL": "qwen3:4b"}
    assert compose.services["model"]["command"][0].startswith('ollama pull "${OLLAMA_MODEL:?')


def test_worker_and_services_agree_on_their_secrets(compose: ComposeFile) -> None:
    worker, minio, postgres = (compose.environment(name) for name in ("worker", "minio", "postgres"))

    assert worker["MINIO_ACCESS_KEY"] == minio["MINIO_ROOT_USER"]
    assert worker["MINIO_SECRET_KEY"] == minio["MINIO_ROOT_PASSWORD"]
    assert worker["POSTGRES_USER"] == postgres["POSTGRES_USER"]
    assert worker["POSTGRES_PASSWORD"] == postgres["POSTGRES_PASSWORD"]
    assert worker["POSTGRES_DATABASE"] == postgres["POSTGRES_DB"]
    assert len(minio["MINIO_ROOT_PASSWORD"]) >= 8, "MinIO takes none that is shorter"


def test_no_variable_of_its_own_looks_like_a_setting() -> None:
    """One that did would come to the worker by .env, which then warns of a name that it does not know."""
    own = names_of_variables() - KNOWN
    assert own
    assert all(name.startswith("LOCAL_") for name in own)


def test_images_are_pinned_and_minio_comes_from_where_it_still_is(compose: ComposeFile) -> None:
    pulled = {
        name: service["image"] for name, service in compose.services.items() if service["image"] != PROGRAM
    }

    assert all(re.search(r":[\w.-]*\d[\w.-]*$", image) for image in pulled.values())
    assert pulled["minio"].startswith("quay.io/minio/minio:RELEASE.")
    assert pulled["kafka"] == f"apache/kafka:{kafka.VERSION}", "the one that the tests run against"


def test_nothing_listens_beyond_this_machine(compose: ComposeFile) -> None:
    ports = [port for service in compose.services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_worker_waits_for_the_jobs_and_each_service_says_when_it_is_well(compose: ComposeFile) -> None:
    jobs = compose.jobs()
    assert jobs == {"topics", "bucket", "model"}
    assert set(compose.services["worker"]["depends_on"]) == jobs | {"postgres"}
    for name, service in compose.services.items():
        assert service["restart"] == ("no" if name in jobs else "unless-stopped")
        assert ("test" in service.get("healthcheck", {})) == (name not in jobs)
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] in {"service_healthy", "service_completed_successfully"}
            is_optional = "profiles" in compose.services[other] and "profiles" not in service
            assert how.get("required", True) is not is_optional


def test_ours_are_locked_in(compose: ComposeFile) -> None:
    for name in compose.of_ours():
        service = compose.services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "cap_add", "user", "pid", "network_mode"} & set(service)
        assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


def test_what_is_mounted_is_there_and_the_rest_are_volumes_of_the_file(compose: ComposeFile) -> None:
    for service in compose.services.values():
        for volume in service.get("volumes", ()):
            source, target, *_ = volume.split(":")
            assert (
                (PROJECT / source).is_dir() if source.startswith("./") else source in compose.model["volumes"]
            )
            assert source != "logs" or target == compose.environment("worker")["LOG_DIR"]
    for path in compose.services["bucket"]["command"]:
        assert (PROJECT / "deploy/compose" / Path(path).name).is_file()


def test_limits_leave_room_for_what_the_settings_allow(compose: ComposeFile) -> None:
    worker = compose.services["worker"]
    (temporary,) = worker["tmpfs"]
    size = int(re.search(r"size=(\d+)m", temporary)[1])  # type: ignore[index]
    files = int(DEFAULTS["FILE_MAX_BYTES"]) * int(DEFAULTS["WORKER_MAX_CONCURRENT_TASKS"])

    assert size * MB > files
    assert worker["deploy"]["resources"]["limits"]["memory"] == "2g"
    assert size + int(DEFAULTS["CONVERSION_MEMORY_MB"]) + 150 + 150 < 2048
    assert (
        int(worker["stop_grace_period"].removesuffix("s"))
        > float(DEFAULTS["WORKER_SHUTDOWN_TIMEOUT_SECONDS"]) + 5
    )
