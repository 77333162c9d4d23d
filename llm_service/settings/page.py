"""``docs/settings.md``, made from the tree: ``python -m llm_service.settings.page > docs/settings.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import groupby

from llm_service.settings import refused_properties
from llm_service.settings.page_text import (
    BESIDE,
    DIFFERENCES,
    DIFFERENT,
    END,
    HEAD,
    PROPERTIES,
    SECRETS,
    WRONG,
)
from llm_service.settings.root import Settings
from llm_service.settings.tree import Setting, walk


def page() -> str:
    """The whole page: where values come from, every setting, and what differs from the service before."""
    parts = [HEAD, WRONG, SECRETS, "## The settings\n"]
    parts += [
        _group(title, settings) for title, settings in groupby(walk(Settings), key=lambda each: each.title)
    ]
    different = "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in DIFFERENT)
    parts += [PROPERTIES, _refused() + BESIDE, DIFFERENCES + different + END]
    return "\n".join(parts)


def _group(title: str, settings: Iterable[Setting]) -> str:
    rows = "".join(_row(setting) for setting in settings)
    return f"### {title}\n\n| name | what it is | expected | default |\n|---|---|---|---|\n{rows}"


def _row(setting: Setting) -> str:
    also = (
        f" Also read as {', '.join(f'`{name}`' for name in setting.names[1:])}." if setting.names[1:] else ""
    )
    secret = " **Secret.**" if setting.secret else ""
    default = f"`{setting.default}`" if setting.default else "unset"
    cells = (f"`{setting.name}`", setting.description + also + secret, setting.expected, default)
    return f"| {' | '.join(_cell(cell) for cell in cells)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _refused() -> str:
    """Both tables of refused properties as one: most are the same, and a reader looks for a name."""
    consumer, producer = refused_properties.OF_CONSUMER, refused_properties.OF_PRODUCER
    reasons = {**consumer, **producer}
    rows = "".join(
        f"| `{name}` | {_where(name, consumer, producer)} | {_cell(reason)} |\n"
        for name, reason in sorted(reasons.items())
    )
    limit = (
        f"| `{'`, `'.join(refused_properties.IN_FLIGHT)}` above {refused_properties.MOST_IN_FLIGHT} | both | "
    )
    head = "| property | in | why, or what to set instead |\n|---|---|---|\n"
    return f"{head}{rows}{limit}events of a task could change places |\n"


def _where(name: str, consumer: Mapping[str, str], producer: Mapping[str, str]) -> str:
    if name in consumer and name in producer:
        return "both"
    return "`KAFKA_CONSUMER_EXTRA`" if name in consumer else "`KAFKA_PRODUCER_EXTRA`"


if __name__ == "__main__":
    sys.stdout.write(page())
