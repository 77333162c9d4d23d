"""``check --live`` and ``--ready``: the running worker, asked over its own HTTP. Quick to import: a health check is."""

from __future__ import annotations

import asyncio
import sys

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.own_service import live as ask_live
from llm_service.cli.checking.own_service import ready as ask_ready
from llm_service.cli.checking.plain_screen import finding_json, plain_line
from llm_service.cli.exit_codes import ExitCode
from llm_service.resilience.clock import SystemClock
from llm_service.settings import Settings


def ask(settings: Settings, *, live: bool, ready: bool, as_json: bool) -> ExitCode:
    """Print what the worker says of itself, and what that means for the exit code."""
    questions = [question for question, wanted in ((ask_live, live), (ask_ready, ready)) if wanted]
    shown = finding_json if as_json else plain_line
    code = ExitCode.OK
    for question in questions:
        finding = asyncio.run(question(settings, SystemClock()))
        print(shown(finding), file=sys.stdout, flush=True)
        if finding.verdict is Verdict.FAILED:
            code = ExitCode.CHECK_FAILED
    return code
