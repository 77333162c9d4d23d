"""librdkafka properties of a deployment's own: how they are written, and which of them decide about the connection."""

from __future__ import annotations

import json
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, SecretStr

from llm_service.settings.group import wrong_value

_CONNECTION = (
    "api.version.",
    "broker.address.",
    "client.",
    "connections.",
    "enable.sasl.",
    "enable.ssl.",
    "https.",
    "reconnect.",
    "sasl.",
    "socket.",
    "ssl.",
)
"""librdkafka names what decides how a broker is reached by these beginnings."""

_SECRET_WORDS = ("assertion", "jaas", "key.pem", "oauthbearer.config", "password", "secret", "token")

_UNVERIFIED = {
    # Any of librdkafka's words for false.
    "enable.ssl.certificate.verification": frozenset({"false", "f", "0"}),
    "ssl.endpoint.identification.algorithm": frozenset({"none"}),
}


def parsed(value: object) -> object:
    """``a=1, b=2``, the same on lines, or a JSON object, as names and texts. Raises PydanticCustomError.

    A part without ``=`` belongs to the value before it: ``debug=broker,topic`` is one property.
    """
    if not isinstance(value, str):
        return value
    pairs = _from_json(value) if value.lstrip().startswith("{") else _from_text(value)
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise wrong_value(f"given more than once: {', '.join(twice)}")
    return tuple(pairs)


Properties: TypeAlias = Annotated[tuple[tuple[str, SecretStr], ...], BeforeValidator(parsed)]
"""Names and values; any value may be a password, so all of them are hidden."""


def revealed(properties: Properties) -> dict[str, str]:
    """As the client takes them."""
    return {name: value.get_secret_value() for name, value in properties}


def of_connection(properties: Properties) -> Properties:
    """Those that decide how a broker is reached, whoever asks it."""
    return tuple((name, value) for name, value in properties if name.startswith(_CONNECTION))


def secrets_of(properties: Properties) -> tuple[str, ...]:
    """The values that must never be written anywhere, by what their names say."""
    return tuple(
        value.get_secret_value() for name, value in properties if any(word in name for word in _SECRET_WORDS)
    )


def unverified(properties: Properties) -> tuple[str, ...]:
    """The names of those that switch the verification of the brokers' certificates off."""
    return tuple(
        name for name, value in properties if value.get_secret_value().lower() in _UNVERIFIED.get(name, ())
    )


def _from_text(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for part in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
        name, sign, value = (half.strip() for half in part.partition("="))
        if sign and name:
            pairs.append((name, value))
        elif pairs and not sign:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]},{part}")
        else:
            # Without its text: it may be a password.
            raise wrong_value("the first of them has no name=")
    return pairs


def _from_json(text: str) -> list[tuple[str, str]]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except ValueError as error:
        raise wrong_value("it begins with { and is no JSON object") from error
    wrong = [name for name, value in pairs if not isinstance(value, str | int | float | bool)]
    if wrong:
        raise wrong_value(f"a text, a number, true or false is expected for {', '.join(wrong)}")
    return [(name, json.dumps(value) if isinstance(value, bool) else str(value)) for name, value in pairs]
