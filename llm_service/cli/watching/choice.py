"""Which view suits: by what is asked for and by where stdout leads."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from llm_service.cli.watching.view import View
from llm_service.resilience.clock import Clock


def choose_view(*, as_json: bool, clock: Clock, labels: Mapping[str, str]) -> View:
    """A table on a terminal, lines on one without cursor control, JSON in a pipe and where it is asked for."""
    from rich.console import Console

    from llm_service.cli.watching.json_lines import JsonLines
    from llm_service.cli.watching.plain_lines import PlainLines
    from llm_service.cli.watching.table import StatusTable

    console = Console(highlight=False)
    if as_json or not sys.stdout.isatty():
        return JsonLines(sys.stdout, sys.stderr)
    if console.is_dumb_terminal or not console.is_terminal:
        return PlainLines(sys.stdout, sys.stderr, labels)
    return StatusTable(console, Console(stderr=True, highlight=False), clock, labels)


def forgive_encodings() -> None:
    """A document may hold what a terminal of another encoding can't show."""
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
