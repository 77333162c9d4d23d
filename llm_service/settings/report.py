"""What is said when settings are wrong: all of them, in one message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from llm_service.settings.group import CONFLICT
from llm_service.settings.layers import Layer
from llm_service.settings.tree import Setting, walk

_SHOWN_CHARS = 80
"""Enough to recognise any value but a key or a document, which does not belong into a log."""


def report(error: ValidationError, root: type[BaseModel], layers: Sequence[Layer]) -> str:
    """Every wrong setting: its name, its value unless it is secret, where that came from, what was expected."""
    settings = tuple(walk(root))
    lines = [
        _line(detail, settings, layers) for detail in error.errors(include_url=False, include_context=True)
    ]
    count = "1 setting is wrong" if len(lines) == 1 else f"{len(lines)} settings are wrong"
    return "\n  ".join((f"{count}; set in the environment or in .env:", *lines))


def _line(detail: ErrorDetails, settings: Iterable[Setting], layers: Sequence[Layer]) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == CONFLICT:
        by_name = {setting.name: setting for setting in settings}
        subjects = [_subject(by_name[name], layers) for name in context["names"]]
        return f"{', '.join(subjects)}: {context['reason']}"
    place = detail["loc"][:2]
    setting = next(setting for setting in settings if (setting.group, setting.field) == place)
    return f"{_subject(setting, layers)}: expected {setting.expected}"


def _subject(setting: Setting, layers: Sequence[Layer]) -> str:
    """``NAME='value' (from .env)``, by the name that was really used."""
    for layer in layers:
        for name in setting.names:
            if name in layer.values:
                return f"{name}={_shown(setting, layer.values[name])} (from {_place(layer)})"
    return (
        f"{setting.name} (not set)" if not setting.default else f"{setting.name}={setting.default} (default)"
    )


def _place(layer: Layer) -> str:
    return "the environment" if layer.origin == "environment" else layer.origin


def _shown(setting: Setting, value: str) -> str:
    if setting.secret:
        return "<hidden>"
    return repr(value) if len(value) <= _SHOWN_CHARS else repr(value[:_SHOWN_CHARS]) + "…"
