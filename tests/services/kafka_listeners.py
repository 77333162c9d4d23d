"""A broker with a listener of each kind: plain, with login, with TLS, with both, and one that sends its clients astray."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.services.cache import Cache
from tests.services.commands import run
from tests.services.kafka import PROPERTIES, VERSION, Kafka
from tests.services.kafka_own import prepare
from tests.services.ports import free_port
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.toolchains import java
from tests.services.wishes import Wishes
from tests.standins.certificates import Certificates, make_certificates

_OPTIONS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
NOWHERE = "kafka.invalid:9092"
"""Where the stray listener sends its clients: a name that nobody can have."""
USER, LIMITED_USER, PASSWORD = "worker", "limited", "right-password"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Addresses of one broker."""

    kafka: Kafka
    """By its plain listener, whose users may do everything."""
    astray: str
    login: str
    tls: str
    login_tls: str
    mutual_tls: str
    """Asks for the client's certificate."""
    certificates: Certificates

    def allow(self, user: str, operation: AclOperation, kind: ResourceType, name: str) -> None:
        """Grant it; users but the first may do nothing else."""
        binding = AclBinding(
            kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW
        )
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})
        for future in admin.create_acls([binding]).values():
            future.result(15)


@contextmanager
def listeners(folder: Path, more: Mapping[str, str] | None = None) -> Iterator[Listeners]:
    """The broker, with ``more`` properties, for the time of the context. Raises Unavailable."""
    wishes = Wishes.read()
    jars, java_path = prepare(Cache(wishes.cache, lambda _: None)), java()
    certificates = make_certificates(folder)
    ports = {
        name: free_port() for name in ("PLAINTEXT", "ASTRAY", "LOGIN", "TLS", "BOTH", "MUTUAL", "CONTROLLER")
    }
    properties = folder / "server.properties"
    properties.write_text(_properties(ports, certificates, folder, more or {}))
    launch = [java_path, *_OPTIONS, "-cp", f"{jars}/*"]
    run(
        [*launch, "kafka.tools.StorageTool", "format", "-t", uuid4().hex[:22], "-c", str(properties)],
        limit_s=60,
    )
    env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    reaper = Reaper()
    process = OwnProcess([*launch, "kafka.Kafka", str(properties)], folder, reaper, env)
    kafka = Kafka(_local(ports["PLAINTEXT"]), process, f"Kafka {VERSION} with a listener of each kind")
    try:
        kafka.start()
        yield Listeners(
            kafka,
            _local(ports["ASTRAY"]),
            _local(ports["LOGIN"]),
            _local(ports["TLS"]),
            _local(ports["BOTH"]),
            _local(ports["MUTUAL"]),
            certificates,
        )
    finally:
        kafka.stop()
        reaper.close()


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"


def _properties(
    ports: dict[str, int], certificates: Certificates, folder: Path, more: Mapping[str, str]
) -> str:
    keystore = folder / "keystore.pem"
    keystore.touch(mode=0o600)
    keystore.write_bytes(certificates.key.read_bytes() + certificates.certificate.read_bytes())
    login = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        + " ".join(f'user_{user}="{PASSWORD}"' for user in (USER, LIMITED_USER))
        + ";"
    )
    advertised = {name: _local(port) for name, port in ports.items() if name != "CONTROLLER"}
    advertised["ASTRAY"] = NOWHERE
    own = {
        "listeners": ",".join(f"{name}://{_local(port)}" for name, port in ports.items()),
        "advertised.listeners": ",".join(f"{name}://{place}" for name, place in advertised.items()),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,ASTRAY:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL,"
        "BOTH:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@{_local(ports['CONTROLLER'])}",
        "log.dirs": str(folder / "data"),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": login,
        "listener.name.both.plain.sasl.jaas.config": login,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(certificates.ca_bundle),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Kafka's default, which the other brokers of the tests have lowered.
        "group.min.session.timeout.ms": "6000",
        "super.users": f"User:ANONYMOUS;User:{USER}",
    }
    return "".join(f"{key}={value}\n" for key, value in {**PROPERTIES, **own, **more}.items())
