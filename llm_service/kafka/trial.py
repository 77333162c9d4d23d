"""Asks librdkafka whether it takes the properties, by making clients that know no broker and are gone at once."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaException, Producer

_ALONE: Mapping[str, object] = {
    "bootstrap.servers": "",
    "log_level": 0,
    "logger": logging.getLogger("librdkafka"),
}
"""No address: nothing is connected to, whatever else is given. ``debug`` sets the log level again: what is said then
waits for a poll that never comes, instead of going to the terminal."""

_AS_A_WHOLE = ("Failed to create consumer: ", "Failed to create producer: ")
"""What begins so is about all properties together; anything else about the one that was being set."""


def refused_properties(properties: Mapping[str, str], *, group: bool) -> Iterator[tuple[str, str]]:
    """Each of these that librdkafka does not know or whose value it does not take, with what it says.

    ``group`` for a consumer. What it has against a property beside others is left to ``refusal``.
    """
    for name, value in properties.items():
        said = _said({name: value}, group=group)
        if said is not None and not said.startswith(_AS_A_WHOLE):
            yield name, _without(value, said)


def refusal(properties: Mapping[str, object], *, group: bool) -> str | None:
    """What librdkafka says against these properties together; None when it takes them.

    Of several reasons it says the first. Callbacks are left out: they need no trial.
    """
    plain = {name: value for name, value in properties.items() if not name.endswith("_cb")}
    said = _said(plain, group=group)
    return None if said is None else said.removeprefix(_AS_A_WHOLE[0]).removeprefix(_AS_A_WHOLE[1])


def _said(properties: Mapping[str, object], *, group: bool) -> str | None:
    try:
        if group:
            Consumer({"group.id": "trial", **properties, **_ALONE}).close()
        else:
            Producer({**properties, **_ALONE})
    except KafkaException as error:
        return str(error.args[0].str()).strip()
    except (AttributeError, TypeError, ValueError) as error:
        # The Python client's own, for what is a function or an object to it.
        return str(error)
    return None


def _without(value: str, reason: str) -> str:
    """The reason without the value, which may be a password."""
    return re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", reason) if value else reason
