"""``.env.example``, made from the tree: ``python -m llm_service.settings.example > .env.example``."""

from __future__ import annotations

import sys
import textwrap
from itertools import groupby

from llm_service.settings.root import Settings
from llm_service.settings.tree import Setting, walk

_HEAD = """\
# Settings of llm-service. Copy to .env, take the # off the names you need and give them your values.
# The environment wins over .env; an empty value is an unset one; a comment may stand behind a value.
# Made by: python -m llm_service.settings.example > .env.example
"""

_WIDTH = 110


def example() -> str:
    """The whole file: every setting, commented out, with its default."""
    parts = [_HEAD]
    for title, settings in groupby(walk(Settings), key=lambda setting: setting.title):
        parts.append(f"\n# --- {title} ---\n")
        parts.extend(_entry(setting) for setting in settings)
    return "".join(parts)


def _entry(setting: Setting) -> str:
    also = f" Also read as {', '.join(setting.names[1:])}." if setting.names[1:] else ""
    words = f"{setting.description}{also} Expected: {setting.expected}."
    lines = textwrap.wrap(words, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return "\n" + "\n".join(lines) + f"\n#{setting.name}={setting.default}\n"


if __name__ == "__main__":
    sys.stdout.write(example())
