"""Options that several commands share, with the same words everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def env_file_option(function: F) -> F:
    """``--env-file``: where settings are read from beside the environment; the command is given ``env_file``."""
    return click.option(
        "--env-file",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path(".env"),
        show_default=True,
        help="File with settings; the environment goes before it.",
    )(function)


def json_option(function: F) -> F:
    """``--json``: for programs; the command is given ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")(function)
