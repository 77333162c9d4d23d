"""Names in the surroundings: which are ours, which are other software's, and which are probably misspelt."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from difflib import SequenceMatcher
from importlib.metadata import entry_points

from llm_service.settings.layers import ENVIRONMENT, Layer
from llm_service.settings.secret_files import SUFFIX

_PROVIDERS = "llm_service.providers"

_OURS = (
    "CIRCUIT_BREAKER_",
    "CONVERSION_",
    "DEDUP_",
    "DLQ_",
    "GGUF_",
    "GIGACHAT_",
    "KAFKA_",
    "LLM_",
    "MINIO_",
    "POSTGRES_",
    "WORKER_",
)
"""Whatever begins so was written for this service, unless ``_OF_OTHERS`` knows better: it is named in any case.

All other beginnings of our names (HTTP_, LOG_, FILE_, APP_, OLLAMA_ …) are everyone's: a name is told only when it is
near one of ours.
"""

_OF_OTHERS = re.compile(
    "|".join(
        (
            # Kubernetes' and Docker's links to a service of that name (NAME_PORT=tcp://… is left out before).
            r".*_SERVICE_(HOST|PORT(_.+)?)",
            r".*_PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?",
            r".*_ENV_.+",
            # A broker's own settings, which images take as KAFKA_<PROPERTY>, and those of its tools; a shared .env has them.
            r"KAFKA_(HOME|VERSION|USER|UID|GID|DATA|MODE|DEBUG|MOUNT.*|HEAP_.+|JVM_.+|JMX_.+|GC_.+|LOG4J_.+|.*OPTS|EXTRA_.+)",
            r"KAFKA_(CFG|CLUSTERS?|CONNECT|REST|UI|EXPORTER|KRAFT|ZOOKEEPER|OPTIMIZE|CERTIFICATE|TLS|CLIENT|CONTROLLER)_.+",
            r"KAFKA_(ADVERTISED|AUTHORIZER|AUTO_CREATE|AUTO_LEADER|BACKGROUND|BROKER|COMPRESSION|CONFLUENT|DEFAULT)_.+",
            r"KAFKA_(DELETE|INTER_BROKER|LISTENER|LISTENERS?|LOG|METADATA|METRIC|MIN|NODE|NUM|OFFSETS|PROCESS|REPLICA)(_.+)?",
            r"KAFKA_(GROUP_(INITIAL|COORDINATOR|MIN|MAX|CONSUMER)|MAX_(CONNECTIONS|REQUEST)|QUEUED|SHARE|SUPER)(_.+)?",
            r"KAFKA_(SOCKET|TRANSACTION|UNCLEAN|CONTROLLED|ALLOW|CREATE_TOPICS|LEADER|CONNECTIONS|QUOTA|SASL_(ENABLED|JAAS).*)(_.+)?",
            r"KAFKA_(SSL_(KEYSTORE|TRUSTSTORE|CLIENT_AUTH|KEY_CREDENTIALS|ENDPOINT).*|SASL_MECHANISM_INTER_BROKER_PROTOCOL)",
            # MinIO's server and its client.
            r"MINIO_(ROOT|SERVER|BROWSER|PROMETHEUS|IDENTITY|POLICY|NOTIFY|KMS|KES|STORAGE_CLASS|CONSOLE|AUDIT|LOGGER)(_.+)?",
            r"MINIO_(DOMAIN|VOLUMES|OPTS|CI_CD|UPDATE|CACHE|COMPRESSION|API|SITE|HEAL|SCANNER|ETCD|LAMBDA|BATCH|SUBNET|ILM)(_.+)?",
            r"MINIO_(CONFIG_ENV_FILE|DEFAULT_BUCKETS|FS_.+|PUBLIC_.+|DATA_DIR|VERSION|IMAGE.*|RELEASE.*)",
            # The image of PostgreSQL.
            r"POSTGRES_(DB|DB_FILE|INITDB_.+|HOST_AUTH_METHOD|MULTIPLE_DATABASES|VERSION|IMAGE.*|EXPORTER.*|PASSWORD_.+|DATA_.+)",
            # Ollama's server and client.
            r"OLLAMA_(HOST|MODELS|DEBUG.*|NUM_(PARALLEL|THREADS?|GPU)|MAX_(LOADED_MODELS|QUEUE)|CONTEXT_LENGTH|LOAD_TIMEOUT)",
            # Simon Willison's llm, and HTTP's headers and proxies as CGI and curl have them.
            r"LLM_(USER_PATH|LOAD_PLUGINS|RAISE_ERRORS|DEVICE)",
            r"HTTPS?_(PROXY|HOST|COOKIE|REFERER|USER_AGENT|ACCEPT.*|CONNECTION|FORWARDED|X_.+)",
        )
    )
)

_NEAR = 0.82
"""One or two letters wrong, a letter too many, a word cut off: KAFKA_GROUP (0.88), LOG_LEVL (0.94)."""
_SAME_BUT_FOR_A_SLIP = 0.9
"""In the environment of a whole machine, where a name of no family of ours must be nearly one of ours to be told."""
_ANY_LIKENESS = 0.55
"""Where a name is told in any case: KAFKA_BROKERS is so near to KAFKA_BOOTSTRAP_SERVERS; below that is chance."""
_CERTAIN = 0.85
"""Below it all names are offered that have its words and more: KAFKA_TOPIC is 0.846 like that of dead letters."""
_LONG = 12
"""A shorter name of another family is one slip away from ours by chance: APP_VERSION from API_VERSION."""

_SEE_ALL = "`llm-service config` shows all there are."


def installed_families() -> tuple[str, ...]:
    """The beginnings of the names that installed providers have, ours among them: ``ACME_CLOUD_``."""
    names = {entry.name for entry in entry_points(group=_PROVIDERS)}
    return tuple(sorted(family_of(name) for name in names))


def family_of(provider: str) -> str:
    """``acme-cloud`` has the settings that begin with ``ACME_CLOUD_``."""
    return provider.upper().replace("-", "_").replace(".", "_") + "_"


def misspelt(
    layers: Iterable[Layer], known: Collection[str], third_parties: Collection[str]
) -> Iterator[str]:
    """One sentence for each name that looks like a setting and is none.

    ``third_parties``: beginnings that are installed providers' own.
    """
    for layer in layers:
        place = "the environment" if layer.origin == ENVIRONMENT else layer.origin
        for name in sorted((*layer.values, *layer.unknown)):
            if _is_known(name, known) or name.startswith(tuple(third_parties)):
                continue
            if (nearest := _meant(name, known, in_file=layer.origin != ENVIRONMENT)) is not None:
                hint = f"did you mean {' or '.join(nearest)}?" if nearest else _SEE_ALL
                yield f"{name} (from {place}) is no setting and has no effect: {hint}"


def nearest_of(name: str, known: Collection[str]) -> tuple[str, ...]:
    """The known names that are most like this one; empty when none is like it."""
    return _nearest(name.upper(), known)[1]


def _is_known(name: str, known: Collection[str]) -> bool:
    return name in known or (name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in known)


def _meant(name: str, known: Collection[str], *, in_file: bool) -> tuple[str, ...] | None:
    """The settings that may have been meant, none when it is ours and like none, None when it is not ours."""
    upper = name.upper()
    stem = upper.removesuffix(SUFFIX)
    if _OF_OTHERS.fullmatch(upper) or _OF_OTHERS.fullmatch(stem):
        return None
    likeness, nearest = _nearest(stem, known)
    meant = tuple(each + upper.removeprefix(stem) for each in nearest)
    if upper.startswith(_OURS):
        return meant
    is_of_family = any(each.partition("_")[0] == upper.partition("_")[0] for each in nearest)
    enough = _NEAR if is_of_family or in_file else _SAME_BUT_FOR_A_SLIP
    return meant if likeness >= enough and (is_of_family or len(stem) >= _LONG) else None


def _nearest(name: str, known: Collection[str]) -> tuple[float, tuple[str, ...]]:
    """How like the likest is, and which were meant: that one, or where it is not so like those that say more."""
    ranked = sorted(((_likeness(name, each), each) for each in known), reverse=True)
    best, nearest = ranked[0]
    words = set(name.split("_"))
    longer = tuple(each for _, each in ranked if words < set(each.split("_")))[:3]
    if best < _CERTAIN and longer:
        return best, longer
    return best, (nearest,) if _own_words(name, nearest) >= _ANY_LIKENESS else ()


def _own_words(name: str, other: str) -> float:
    """How like they are without a first word they share."""
    (family, _, rest), (other_family, _, other_rest) = name.partition("_"), other.partition("_")
    return _likeness(rest, other_rest) if family == other_family else _likeness(name, other)


def _likeness(name: str, other: str) -> float:
    matcher = SequenceMatcher(None, name, other, autojunk=False)
    if matcher.real_quick_ratio() < _ANY_LIKENESS or matcher.quick_ratio() < _ANY_LIKENESS:
        return 0.0
    return matcher.ratio()
