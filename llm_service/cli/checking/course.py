"""The course of a check: probes at once, what they find shown, one exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection, Mapping
from contextlib import aclosing, suppress
from typing import NoReturn

import click

from llm_service.cli.checking.finding import Finding, Probe, Verdict
from llm_service.cli.checking.probes import names_to_look_at, probe_named, run_probes
from llm_service.cli.checking.screen import Screen, screen_for
from llm_service.cli.exit_codes import ExitCode, exit_code_of
from llm_service.cli.interrupt import Interrupt
from llm_service.container.providers import without_llm
from llm_service.errors import SettingsInvalid
from llm_service.resilience.clock import Clock, SystemClock
from llm_service.settings import Settings


def check(settings: Settings, asked: Collection[str], *, as_json: bool) -> NoReturn:
    """Look at what was asked for, all where nothing was; show it, and end the process with the exit code."""
    names = names_to_look_at(settings, asked)
    screen = screen_for(names, as_json=as_json)
    for warning in settings.warnings():
        screen.talk(f"warning: {warning}")
    if not asked and (no_llm := without_llm(settings)) is not None:
        screen.talk(f"warning: {no_llm}")
    asyncio.run(_check_and_leave(settings, names, asked, screen))
    raise AssertionError("the process has ended")


async def _check_and_leave(
    settings: Settings, names: list[str], asked: Collection[str], screen: Screen
) -> None:
    interrupt = Interrupt()
    try:
        with screen:
            # After the spinner is there: some of them are slow to import.
            probes = {name: probe_named(name) for name in names}
            code = await interrupt.bound(look(probes, asked, settings, screen, SystemClock()))
    except SettingsInvalid as error:
        click.echo(error.message, err=True)
        code = exit_code_of(error)
    # At once: the end of the loop would wait for the thread of a resolver whose name server is silent.
    leave(code)


async def look(
    probes: Mapping[str, Probe], asked: Collection[str], settings: Settings, screen: Screen, clock: Clock
) -> ExitCode:
    """Run the probes and show what they find. Raises SettingsInvalid."""
    found: list[Finding] = []
    async with aclosing(run_probes(probes, asked, settings, clock)) as running:
        async for name, findings in running:
            screen.found(name, findings)
            found.extend(findings)
    screen.summary(found)
    return exit_code_for(found)


def exit_code_for(findings: Collection[Finding]) -> ExitCode:
    """A failure counts; a warning does not."""
    failed = any(finding.verdict is Verdict.FAILED for finding in findings)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK


def leave(code: int) -> NoReturn:
    """End the process now, with all that was written; a reader that has gone, as ``head`` has, is no error."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)
