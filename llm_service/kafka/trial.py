"""Asks librdkafka whether it takes the properties, by making clients that know no broker and are gone at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaException, Producer

_ALONE: Mapping[str, object] = {"bootstrap.servers": "", "log_level": 0}
"""No address: nothing is connected to, whatever else is given."""


def refused_properties(properties: Mapping[str, str], *, group: bool) -> Iterator[tuple[str, str]]:
    """Each of these that librdkafka does not take by itself, with what it says; ``group`` for a consumer."""
    for name, value in properties.items():
        if (reason := _refusal({name: value}, group=group)) is not None:
            yield name, _without(value, reason)


def refusal(properties: Mapping[str, object], *, group: bool) -> str | None:
    """What librdkafka says against these properties together; None when it takes them.

    Of several reasons it says the first. Callbacks are left out: they need no trial.
    """
    plain = {name: value for name, value in properties.items() if not name.endswith("_cb")}
    return _refusal(plain, group=group)


def _refusal(properties: Mapping[str, object], *, group: bool) -> str | None:
    try:
        if group:
            Consumer({"group.id": "trial", **properties, **_ALONE}).close()
        else:
            Producer({**properties, **_ALONE})
    except KafkaException as error:
        said: str = error.args[0].str()
        return (
            said.removeprefix("Failed to create consumer: ")
            .removeprefix("Failed to create producer: ")
            .strip()
        )
    except (AttributeError, TypeError, ValueError) as error:
        # The Python client's own, for what is a function or an object to it.
        return str(error)
    return None


def _without(value: str, reason: str) -> str:
    """The reason without the value, which may be a password."""
    return re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", reason) if value else reason
