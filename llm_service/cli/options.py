"""Options that several commands share, with the same words everywhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])


def env_file_option(function: F) -> F:
    """``--env-file``: where settings are read from beside the environment; the command is given ``env_file``."""
    return click.option(
        "--env-file",
        # A folder or an unreadable file is let in: who reads the settings names it beside all else that is wrong.
        type=click.Path(readable=False, path_type=Path),
        default=Path(".env"),
        show_default=True,
        callback=_there_when_named,
        help="File with settings; the environment goes before it.",
    )(function)


def _there_when_named(ctx: click.Context, param: click.Parameter, value: Path) -> Path:
    """The usual file need not be there; one that was asked for must, or its settings would silently not count."""
    is_named = ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    with suppress(
        PermissionError
    ):  # what can't be looked at can't be read either, and is named with the settings
        if is_named and not value.exists():
            raise click.BadParameter(f"there is no file {value}", ctx, param)
    return value


def json_option(function: F) -> F:
    """``--json``: for programs; the command is given ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")(function)
