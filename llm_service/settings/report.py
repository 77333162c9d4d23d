"""What is said when settings are wrong: all of them, in one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_service.settings.diagnosis import Diagnosis
from llm_service.settings.layers import ENVIRONMENT, Layer
from llm_service.settings.root import Settings
from llm_service.settings.tree import Setting, walk, without_login

_SHOWN_CHARS = 80
"""Enough to recognise any value but a key or a document, which does not belong into a log."""


def report(diagnosis: Diagnosis, layers: Sequence[Layer], remarks: Sequence[str] = ()) -> str:
    """Every wrong setting: its name, its value unless it is secret, where that came from, what was expected.

    ``remarks``, a misspelt name among them, are no error and often its cause: they follow.
    """
    by_name = {name: setting for setting in walk(Settings) for name in setting.names}
    lines = [
        f"{', '.join(problem.names)}: {problem.reason}" if problem.names else problem.reason
        for problem in diagnosis.unread
    ]
    for problem in diagnosis.wrong:
        subjects = [_subject(name, by_name, layers) for name in problem.names]
        lines.append(f"{', '.join(subjects)}: {problem.reason}")
    count = "1 thing is" if len(lines) == 1 else f"{len(lines)} things are"
    told = "\n  ".join((f"{count} wrong with the settings:", *lines))
    return "\n  ".join((f"{told}\nbesides:", *remarks)) if remarks else told


def _subject(name: str, by_name: Mapping[str, Setting], layers: Sequence[Layer]) -> str:
    """``NAME='value' (from .env)``, by the name that was really used."""
    setting = by_name[name]
    # The name itself first: where two of one setting are wrong together each is meant.
    names = (name, *(other for other in setting.names if other != name))
    for layer in layers:
        for used in names:
            if used in layer.values:
                return f"{used}={_shown(setting, layer.values[used])} (from {_place(layer, used)})"
    return (
        f"{setting.name} (not set)" if not setting.default else f"{setting.name}={setting.default} (default)"
    )


def _place(layer: Layer, name: str) -> str:
    origin = layer.origin_of(name)
    return "the environment" if origin == ENVIRONMENT else origin


def _shown(setting: Setting, value: str) -> str:
    if setting.secret:
        return "<hidden>"
    value = without_login(value)
    return repr(value) if len(value) <= _SHOWN_CHARS else repr(value[:_SHOWN_CHARS]) + "…"
