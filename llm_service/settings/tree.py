"""The tree of settings as data: what ``.env.example``, the docs and messages are made from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from llm_service.settings.group import Group
from llm_service.settings.limited import LIMITS

_LOGIN = re.compile(r"//[^/@\s]+@")

_UNITS = {
    "_ms": "milliseconds",
    "_s": "seconds",
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_mb": "megabytes",
    "_chars": "characters",
    "num_ctx_max": "tokens",
    "max_tokens": "tokens",
    "max_cost": "US dollars",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, without any value but its default."""

    group: str
    field: str
    names: tuple[str, ...]
    """Environment names; the first is the one that is shown, the others are read too."""
    title: str
    """What the group is called."""
    description: str
    expected: str
    """What a right value looks like."""
    default: str
    """As it would be written; empty when unset."""
    secret: bool
    """Whether its value is never shown."""

    @property
    def name(self) -> str:
        return self.names[0]


def walk(root: type[BaseModel]) -> Iterator[Setting]:
    """Every setting of the tree, in its order."""
    for group_name, field in root.model_fields.items():
        group = group_of(field)
        schemas = group.model_json_schema(by_alias=False)["properties"]
        title = (group.__doc__ or group_name).strip().rstrip(".")
        for name, inner in sorted(group.model_fields.items(), key=lambda field: field[0] in LIMITS):
            schema = schemas[name]
            yield Setting(
                group=group_name,
                field=name,
                names=names_of(inner),
                title=title,
                description=schema["description"],
                expected=_expected(name, schema),
                default=written(inner.default) if inner.default_factory is None else "",
                secret=_flat(schema).get("format") == "password",
            )


def group_of(field: FieldInfo) -> type[Group]:
    """The group a field of the root holds."""
    return cast("type[Group]", field.annotation)


def names_in(root: type[BaseModel]) -> frozenset[str]:
    """Every name that is read."""
    groups = (group_of(field) for field in root.model_fields.values())
    return frozenset(
        name for group in groups for field in group.model_fields.values() for name in names_of(field)
    )


def names_of(field: FieldInfo) -> tuple[str, ...]:
    """The environment names a field is read from."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (str(alias),)


def written(value: object) -> str:
    """A value as it would be written in ``.env``."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value)


def without_login(text: str) -> str:
    """The text with the user and password of an address in it hidden: ``http://<hidden>@host``."""
    return _LOGIN.sub("//<hidden>@", text)


def _flat(schema: Mapping[str, object]) -> Mapping[str, object]:
    """The schema of a value that is set: ``X | None`` is X here, as an empty text is unset."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list):
        return schema
    given: Mapping[str, object] = next(choice for choice in choices if choice.get("type") != "null")
    return {**schema, **given}


def _expected(field: str, schema: Mapping[str, object]) -> str:
    flat = _flat(schema)
    if "expected" in flat:
        return str(flat["expected"])
    choices = flat.get("enum")
    if isinstance(choices, list):
        return "one of " + ", ".join(map(str, choices))
    words = {"integer": "a whole number", "number": "a number", "boolean": "True or False"}
    word = words.get(str(flat["type"]))
    if word is None:
        return {"path": "a path", "password": "a secret"}.get(str(flat.get("format")), "text")
    if "minimum" in flat and "maximum" in flat:
        return f"{word}{_unit(field)} from {flat['minimum']} to {flat['maximum']}"
    return word


def _unit(field: str) -> str:
    """A field's name ends with its unit; one without is a count."""
    unit = next((unit for ending, unit in _UNITS.items() if field.endswith(ending)), None)
    return f" of {unit}" if unit else ""
