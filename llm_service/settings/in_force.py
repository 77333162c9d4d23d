"""The settings in force as rows: what each is, where it comes from, whether it differs from its default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llm_service.settings.layers import DEFAULT
from llm_service.settings.root import Settings
from llm_service.settings.tree import Setting, walk, without_login, written


@dataclass(frozen=True, slots=True)
class InForce:
    """One setting as it is in force; a secret's value is not in it."""

    setting: Setting
    value: str
    """As it would be written; empty when unset. Of a secret only the names of its parts, where it has some."""
    origin: str
    """``environment``, the path of the ``.env`` file, ``file /run/secrets/x`` or ``default``."""
    is_set: bool
    """Whether there is a value at all."""
    is_changed: bool
    """Whether it differs from its default."""


def in_force(settings: Settings) -> Iterator[InForce]:
    """Every setting, in the tree's order."""
    for setting in walk(Settings):
        value = getattr(getattr(settings, setting.group), setting.field)
        origin = settings.origin(*setting.names)
        # What is made anew in each process (WORKER_ID) has no default to be compared with.
        is_changed = origin != DEFAULT and (setting.secret or written(value) != setting.default)
        shown = _names(value) if setting.secret else without_login(written(value))
        yield InForce(setting, shown, origin, is_set=value not in (None, ()), is_changed=is_changed)


def _names(secret: object) -> str:
    """The names of properties whose values are hidden; nothing of a plain secret."""
    return ",".join(name for name, _ in secret) if isinstance(secret, tuple) else ""
