"""Kafka: where it is, how to log in, and how this worker is a member of its group."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from llm_service.settings.group import Group, Lowered, Uppered
from llm_service.settings.problem import Problem
from llm_service.settings.properties import Properties
from llm_service.settings.refused_properties import OF_CONSUMER, OF_PRODUCER, refusals

_PROPERTIES = {
    "expected": "name=value, several with commas or line ends between them, or a JSON object; "
    "names as in librdkafka's CONFIGURATION.md",
    "format": "password",
}


NO_RETRY_TOPIC = "none"


class KafkaSettings(Group):
    """Kafka."""

    bootstrap_servers: str = Field(
        default="localhost:9092",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        pattern=r"^[^\s/,]+:\d+(\s*,\s*[^\s/,]+:\d+)*$",
        description="Addresses of brokers to begin with.",
        json_schema_extra={"expected": "host:port, or several with commas between them"},
    )
    group_id: str = Field(
        default="llm-worker-group",
        validation_alias="KAFKA_GROUP_ID",
        description="Consumer group; workers of one group share the tasks. Used as given.",
    )
    tasks_topic: str = Field(
        default="tasks_llm",
        validation_alias="KAFKA_TASKS_TOPIC",
        description="Topic that tasks are read from.",
    )
    status_topic: str | None = Field(
        default=None,
        validation_alias="KAFKA_STATUS_TOPIC",
        description="Topic that status events go to; the tasks topic itself is allowed. "
        "Unset: tasks_llm_status, which must then exist.",
    )
    dlq_topic: str = Field(
        default="tasks_llm_dlq",
        validation_alias="KAFKA_DLQ_TOPIC",
        description="Topic that messages go to which could not be processed, with the reason.",
    )
    file_drop_topic: str | None = Field(
        default=None,
        validation_alias="KAFKA_FILE_DROP_TOPIC",
        min_length=1,
        description="Topic with an object store's notifications of new files, which become tasks by the rules of "
        "DROP_RULES_FILE; unset: none is read.",
    )
    retry_topic: str = Field(
        default="tasks_llm_retry",
        validation_alias="KAFKA_RETRY_TOPIC",
        description="Topic that tasks wait on to be tried again later; the worker makes it where it is missing. "
        f"'{NO_RETRY_TOPIC}': there is none, and a task that fails for the moment fails for good.",
        json_schema_extra={"expected": f"a topic of its own, or {NO_RETRY_TOPIC}"},
    )
    retry_delay_s: float = Field(
        # As long as a breaker stays open before it is tried again, so that a task comes back to a provider that was.
        default=30.0,
        validation_alias="KAFKA_RETRY_DELAY_SECONDS",
        ge=0.1,
        le=86_400,
        description="Seconds that a task waits on the retry topic; one for all, so that its order is the order in which "
        "tasks are due.",
    )
    auto_offset_reset: Annotated[Literal["earliest", "latest"], Lowered] = Field(
        default="earliest",
        validation_alias="KAFKA_AUTO_OFFSET_RESET",
        description="Where a group without a committed offset begins; 'latest' leaves out what was sent before.",
    )
    adopt: Annotated[Literal["auto", "off"], Lowered] = Field(
        default="auto",
        validation_alias="KAFKA_ADOPT",
        description="First start of a group that has no committed offset, on topics that hold terminal statuses already. "
        "'auto': tasks that were answered are not run again, as by llm-service adopt; not with "
        "KAFKA_AUTO_OFFSET_RESET=latest. 'off': the group begins where KAFKA_AUTO_OFFSET_RESET says.",
    )
    consumer_poll_timeout_s: float = Field(
        default=1.0,
        validation_alias="KAFKA_CONSUMER_POLL_TIMEOUT",
        ge=0.01,
        le=60,
        description="Longest wait for a message in one poll, in seconds.",
    )
    delivery: Annotated[Literal["exactly_once", "at_least_once"], Lowered] = Field(
        default="exactly_once",
        validation_alias="KAFKA_DELIVERY",
        description="Delivery mode. 'exactly_once': the event and the offset are one Kafka transaction; needs brokers of "
        "2.5 or later with a working transaction log, and WRITE and DESCRIBE on transactional ids that begin with "
        "KAFKA_GROUP_ID. 'at_least_once': the event is acknowledged first, the offset committed after. Change it only "
        "after all workers were stopped in order.",
    )
    group_protocol: Annotated[Literal["classic", "consumer"], Lowered] = Field(
        default="classic",
        validation_alias="KAFKA_GROUP_PROTOCOL",
        description="Group protocol; 'consumer' is KIP-848 and needs brokers of 4.0 or later.",
    )
    assignment_strategy: Annotated[Literal["cooperative-sticky", "range", "roundrobin"], Lowered] = Field(
        default="cooperative-sticky",
        validation_alias="KAFKA_ASSIGNMENT_STRATEGY",
        description="How the classic protocol spreads partitions over members; all members must agree.",
    )
    group_instance_id: str | None = Field(
        default=None,
        validation_alias="KAFKA_GROUP_INSTANCE_ID",
        description="Static membership (classic protocol only): a restarted worker has its partitions back at once. "
        "One per process, and not for workers that scale away.",
    )
    session_timeout_ms: int = Field(
        default=6000,
        validation_alias="KAFKA_SESSION_TIMEOUT_MS",
        ge=1000,
        le=1_800_000,
        description="Milliseconds without a heartbeat after which another worker takes over (classic protocol). "
        "The brokers' group.min.session.timeout.ms, 6000 by default, is its lower bound.",
    )
    heartbeat_interval_ms: int = Field(
        # Who takes over hears of it by his next heartbeat: a part of the silence after a kill, beside the session itself.
        default=500,
        validation_alias="KAFKA_HEARTBEAT_INTERVAL_MS",
        ge=100,
        le=600_000,
        description="Milliseconds between heartbeats (classic protocol); at most a third of the session timeout.",
    )
    max_poll_interval_ms: int = Field(
        default=300_000,
        validation_alias="KAFKA_MAX_POLL_INTERVAL_MS",
        ge=10_000,
        le=86_400_000,
        description="Milliseconds after which a consumer that does not poll loses its partitions. "
        "Tasks may run longer than this: polling never waits for them.",
    )
    commit_interval_ms: int = Field(
        default=200,
        validation_alias="KAFKA_COMMIT_INTERVAL_MS",
        ge=10,
        le=60_000,
        description="Milliseconds between commits; what finished since the last one may run again after a crash.",
    )
    result_encoding: Annotated[Literal["string", "object"], Lowered] = Field(
        default="string",
        validation_alias="KAFKA_RESULT_ENCODING",
        description="How a SUCCESS event carries its result: a string that holds JSON, or the object itself.",
    )
    security_protocol: Annotated[Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], Lowered] = Field(
        default="plaintext",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="How the brokers are spoken to.",
    )
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None, Uppered
    ] = Field(
        default=None,
        validation_alias="KAFKA_SASL_MECHANISM",
        description="Login mechanism of the sasl_… protocols; OAUTHBEARER is set up by sasl.oauthbearer.… in "
        "KAFKA_CONSUMER_EXTRA.",
    )
    sasl_username: str | None = Field(
        default=None, validation_alias="KAFKA_SASL_USERNAME", description="User name of the SASL login."
    )
    sasl_password: SecretStr | None = Field(
        default=None, validation_alias="KAFKA_SASL_PASSWORD", description="Password of the SASL login."
    )
    ssl_ca_location: str | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CA_LOCATION",
        description="File with the certificates that brokers are verified by; unset: the system's.",
        json_schema_extra={"expected": "a path"},
    )
    ssl_certificate_location: str | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CERTIFICATE_LOCATION",
        description="File with this client's certificate.",
        json_schema_extra={"expected": "a path"},
    )
    ssl_key_location: str | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_KEY_LOCATION",
        description="File with this client's private key.",
        json_schema_extra={"expected": "a path"},
    )
    publish_timeout_s: float = Field(
        default=30.0,
        validation_alias="KAFKA_PUBLISH_TIMEOUT_SECONDS",
        ge=1,
        le=600,
        description="Seconds the brokers have to acknowledge one status event before it is tried anew.",
    )
    message_max_bytes: int = Field(
        default=1_000_000,
        validation_alias="KAFKA_MESSAGE_MAX_BYTES",
        # A FAILED event with its longest reason, and the headers, in four-byte characters.
        ge=32_000,
        le=1_000_000_000,
        description="Largest message this worker produces, in bytes; a larger result goes to the object store.",
    )

    consumer_extra: Properties = Field(
        default=(),
        validation_alias="KAFKA_CONSUMER_EXTRA",
        description="Further librdkafka properties of the consumer. Those of the connection (ssl.…, sasl.…, socket.…, "
        "client.… and the like) are every other client's too, but what KAFKA_PRODUCER_EXTRA says otherwise.",
        json_schema_extra=dict(_PROPERTIES),
    )
    producer_extra: Properties = Field(
        default=(),
        validation_alias="KAFKA_PRODUCER_EXTRA",
        description="Further librdkafka properties of the producer.",
        json_schema_extra=dict(_PROPERTIES),
    )

    @property
    def retry_topic_in_use(self) -> str | None:
        """The retry topic; None where there is none.

        With ``latest`` there is none: of a partition without a committed offset it would leave out what waits there.
        """
        wanted = self.retry_topic != NO_RETRY_TOPIC and self.auto_offset_reset == "earliest"
        return self.retry_topic if wanted else None

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        if self.group_protocol == "classic" and self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            yield Problem(
                ("KAFKA_HEARTBEAT_INTERVAL_MS", "KAFKA_SESSION_TIMEOUT_MS"),
                "the heartbeat interval must be at most a third of the session timeout",
            )
        if self.group_protocol == "classic" and self.session_timeout_ms > self.max_poll_interval_ms:
            yield Problem(
                ("KAFKA_SESSION_TIMEOUT_MS", "KAFKA_MAX_POLL_INTERVAL_MS"),
                "the session timeout must not be above the longest time between two polls",
            )
        if self.group_protocol == "consumer" and self.group_instance_id is not None:
            yield Problem(
                ("KAFKA_GROUP_PROTOCOL", "KAFKA_GROUP_INSTANCE_ID"),
                "a restarted static member is refused by the 'consumer' protocol until its session ends: "
                "use 'classic', or no instance id",
            )
        if self.dlq_topic in {self.tasks_topic, self.status_topic}:
            yield Problem(
                ("KAFKA_DLQ_TOPIC",), "dead letters need a topic of their own, or they come back as tasks"
            )
        if self.retry_topic in {self.tasks_topic, self.status_topic, self.dlq_topic}:
            yield Problem(
                ("KAFKA_RETRY_TOPIC",),
                "tasks that wait to be tried again need a topic of their own: its order is that in which they are due",
            )
        others = {self.tasks_topic, self.status_topic, self.dlq_topic, self.retry_topic}
        if self.file_drop_topic is not None and self.file_drop_topic in others:
            yield Problem(
                ("KAFKA_FILE_DROP_TOPIC",),
                "notifications need a topic of their own: what is on it is read as nothing else",
            )
        if refused := refusals(self.consumer_extra, OF_CONSUMER):
            yield Problem(("KAFKA_CONSUMER_EXTRA",), refused)
        if refused := refusals(self.producer_extra, OF_PRODUCER):
            yield Problem(("KAFKA_PRODUCER_EXTRA",), refused)
        yield from self._login_conflicts(wrong)

    def _login_conflicts(self, wrong: Set[str]) -> Iterator[Problem]:
        """A half-configured login must not fall back to none."""
        protocol, is_sasl = self.security_protocol, self.security_protocol.startswith("sasl_")
        login: dict[str, str | None] = {"KAFKA_SASL_MECHANISM": self.sasl_mechanism}
        if self.sasl_mechanism != "OAUTHBEARER":
            password = self.sasl_password.get_secret_value() if self.sasl_password is not None else None
            login |= {"KAFKA_SASL_USERNAME": self.sasl_username, "KAFKA_SASL_PASSWORD": password}
        given = tuple(name for name, value in login.items() if value is not None)
        if is_sasl and (missing := tuple(name for name in login if name not in given)):
            yield Problem(missing, f"required by KAFKA_SECURITY_PROTOCOL={protocol}")
        if not is_sasl and given and "security_protocol" not in wrong:
            yield Problem(
                ("KAFKA_SECURITY_PROTOCOL", *given),
                "a SASL login needs the protocol sasl_ssl or sasl_plaintext",
            )
        extra = {name for name, _ in self.consumer_extra}
        if self.sasl_mechanism == "OAUTHBEARER" and "sasl.oauthbearer.method" not in extra:
            yield Problem(
                ("KAFKA_SASL_MECHANISM", "KAFKA_CONSUMER_EXTRA"),
                "OAUTHBEARER needs sasl.oauthbearer.method=oidc in KAFKA_CONSUMER_EXTRA, with the client's id, secret "
                "and sasl.oauthbearer.token.endpoint.url",
            )
        if (self.ssl_certificate_location is None) != (self.ssl_key_location is None):
            yield Problem(
                ("KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"), "each needs the other"
            )
