"""A provider's options, as its part of the settings or a third party's environment gives them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from llm_service.errors import SettingsInvalid


def reveal(value: object) -> str:
    """A secret's text, or a plain value's; empty for None."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


def text(options: Mapping[str, object], name: str) -> str:
    """An option's text without the spaces around it; empty when absent."""
    return reveal(options.get(name)).strip()


def number(options: Mapping[str, object], name: str) -> float:
    """Raises SettingsInvalid unless the option is a positive number."""
    value = options.get(name)
    try:
        found = float(text(options, name))
    except ValueError:
        found = 0.0
    if not found > 0 or isinstance(value, bool):
        raise SettingsInvalid(f"{name} must be a positive number, not {value!r}.")
    return found
