"""The labels of all metrics. None is a task's own text, so that nobody outside can make the number of series grow."""

from __future__ import annotations

from collections.abc import Iterator

from llm_service.errors import ServiceError
from llm_service.observability.metric import Label


def error_codes(base: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    """The classes of our errors, each of which has its code; a provider of a third party may add its own."""
    yield base
    for inner in base.__subclasses__():
        if inner.__module__ == base.__module__:
            yield from error_codes(inner)


CODE = Label("code", "`success`, or the code of an error (below)")
CALL_CODE = Label("code", "`success`, `cancelled`, or the code of an error (below)")
ERROR_CODE = Label("code", "the code of an error (below)")
COMPONENT = Label(
    "component", "`kafka`, `object store`, `postgres`, `ledger`, or the name of the default provider"
)
DROP_RULE = Label("rule", "the name of a rule of DROP_RULES_FILE")
DROP_SKIPPED = Label(
    "reason",
    "`unmatched` by every rule, `ignored` as a rule says, `own_object` of this service, `repeated`: its task is there "
    "already, `other_event`: no file came by it",
    ("unmatched", "ignored", "own_object", "repeated", "other_event"),
)
ALTERED = Label(
    "how",
    "`cut`: too long for the model, where the task allows it; `hidden`: seen by nobody, and shown to the model by number",
    ("cut", "hidden"),
)
ENGINE_ACTION = Label(
    "action",
    "`loaded`, `failed` to load, `died` with work in hand and was started again, `unloaded`",
    ("loaded", "failed", "died", "unloaded"),
)
ENGINE_TOKENS = Label(
    "kind",
    "`prompt`, `cached`: of those, what lay in the cache already, `completion`",
    ("prompt", "cached", "completion"),
)
GRAMMAR = Label(
    "outcome",
    "`hit`: chosen freely and allowed by the grammar, `miss`: chosen again under it",
    ("hit", "miss"),
)
HOW = Label(
    "how",
    "`waiting` for the first of its id, `replayed` from memory or ledger, `retry`: answered by the first, which waits on "
    "the retry topic, `conflict` with another task of its id",
    ("waiting", "replayed", "retry", "conflict"),
)
MINUTE_LIMIT = Label("limit", "`requests` or `tokens` a minute", ("requests", "tokens"))
PARTITION = Label("partition", "its number")
ROUND = Label(
    "kind",
    "`attempt`: to be tried again after an error, `wait`: to wait for a provider that is away",
    ("attempt", "wait"),
)
PROVIDER = Label("provider", "a provider of the settings")
TASK_PROVIDER = Label("provider", "a provider of the settings, `none` for a task that never got to one")
RATE_REASON = Label(
    "reason",
    "`throttled` by 429, `recovered` from it, `told` by headers what the limit is, `little_left` of it by headers",
    ("throttled", "recovered", "told", "little_left"),
)
REBALANCE = Label(
    "kind", "`assigned`, `revoked`, or `lost` without being asked", ("assigned", "revoked", "lost")
)
SINK = Label("sink", "`terminal`, or `files` of LOG_DIR")
STAGE = Label("stage", "`fetch`, `convert`, `provider`, `settle`", ("fetch", "convert", "provider", "settle"))
STATE = Label("state", "`closed`, `open`, `half_open`")
TLS_COMPONENT = Label(
    "component",
    "`gigachat`, `kafka`, `postgres`: where it can be switched off",
    ("gigachat", "kafka", "postgres"),
)
TOKENS = Label("kind", "`prompt`, `completion`")
TOPIC = Label("topic", "the topic of tasks, or the retry topic")
UNCAUGHT = Label("place", "`loop`, `thread`, `finalizer`", ("loop", "thread", "finalizer"))
WRITER = Label("by", "`task`, or `fold` for what only the status topic told", ("task", "fold"))
