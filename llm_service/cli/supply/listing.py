"""``llm-service providers``: one row a provider, and below why one does not answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_service.cli.checking.course import leave
from llm_service.cli.checking.screen import duration
from llm_service.cli.exit_codes import ExitCode, exit_code_of
from llm_service.cli.interrupt import Interrupt
from llm_service.cli.printable import json_line, printable_line
from llm_service.cli.supply.inventory import Entry, take
from llm_service.container.providers import without_llm
from llm_service.errors import SettingsInvalid
from llm_service.providers.guard import GuardPolicy
from llm_service.providers.prices import Price
from llm_service.resilience.clock import SystemClock
from llm_service.settings import Settings

_COLUMNS = (
    "Provider",
    "Configured",
    "Answers",
    "Model",
    "At once",
    "A minute",
    "Breaker",
    "Price of 1M tokens",
)
_WIDTH = 200
"""A pipe has no width: no line is broken there."""


def show(settings: Settings, *, timeout_s: float | None, as_json: bool) -> NoReturn:
    """Print them and end the process; CHECK_FAILED where one that is configured does not answer."""
    asyncio.run(_show_and_leave(settings, timeout_s, as_json=as_json))
    raise AssertionError("the process has ended")


async def _show_and_leave(settings: Settings, timeout_s: float | None, *, as_json: bool) -> None:
    try:
        code = await Interrupt().bound(_shown(settings, timeout_s, as_json=as_json))
    except SettingsInvalid as error:
        click.echo(error.message, err=True)
        code = exit_code_of(error)
    # At once: the end of the loop would wait for the thread of a resolver whose name server is silent.
    leave(code)


async def _shown(settings: Settings, timeout_s: float | None, *, as_json: bool) -> ExitCode:
    entries = await take(settings, SystemClock(), timeout_s)
    if as_json:
        for entry in entries:
            print(json_line(_fields(entry)))
    else:
        _show_table(entries)
        for entry in entries:
            if entry.reachable is False:
                print(printable_line(f"FAILED: {entry.name}: {entry.reason}"), file=sys.stderr)
    if (no_llm := without_llm(settings)) is not None:
        print(printable_line(f"warning: {no_llm}"), file=sys.stderr)
    failed = any(entry.reachable is False for entry in entries)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK


def _show_table(entries: Sequence[Entry]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, overflow="fold")
    for entry in entries:
        table.add_row(*_cells(entry))
    console.print(table)


def _cells(entry: Entry) -> list[str | Text]:
    if entry.policy is None:
        return [Text(printable_line(entry.name)), "no", "", Text(entry.reason), "", "", "", ""]
    return [
        Text(printable_line(entry.name)),
        "default" if entry.default else "yes",
        _answers(entry),
        Text(printable_line(entry.model or "")),
        f"{entry.policy.max_concurrency:,}",
        _minute(entry.policy),
        f"{entry.policy.breaker.failure_threshold} failures, {entry.policy.breaker.open_s:g} s",
        "; ".join(map(_priced, entry.prices)) or "unknown",
    ]


def _answers(entry: Entry) -> Text:
    if entry.reachable is None:
        return Text("not asked")
    if not entry.reachable:
        return Text("FAILED", "bold red")
    seconds = "" if entry.seconds is None else f" ({duration(entry.seconds)})"
    return Text(f"{len(entry.models)} model{'' if len(entry.models) == 1 else 's'}{seconds}", "green")


def _minute(policy: GuardPolicy) -> str:
    rate = policy.rate
    named = {"requests": rate.requests, "tokens": rate.tokens}
    parts = [f"{limit:,} {what}" for what, limit in named.items() if limit is not None]
    share = f"{rate.share:.0%} of " if rate.share < 1 else ""
    return share + (", ".join(parts) or "none set")


def _priced(price: Price) -> str:
    upto = f" to {price.to_prompt:,} tokens" if price.to_prompt is not None else ""
    until = f" until {price.until}" if price.until is not None else ""
    return f"{price.input:g} in, {price.output:g} out {price.currency}{upto}{until} ({price.read_on})"


def _fields(entry: Entry) -> Mapping[str, object]:
    policy = entry.policy
    return {
        "provider": entry.name,
        "package": entry.package,
        "configured": entry.configured,
        "default": entry.default,
        "model": entry.model,
        "reachable": entry.reachable,
        "reason": entry.reason or None,
        "seconds": entry.seconds,
        "models": list(entry.models),
        "limits": None
        if policy is None
        else {
            "concurrency": policy.max_concurrency,
            "requests_per_minute": policy.rate.requests,
            "tokens_per_minute": policy.rate.tokens,
            "share": policy.rate.share,
            "breaker_failures": policy.breaker.failure_threshold,
            "breaker_open_s": policy.breaker.open_s,
        },
        "prices": [_price_fields(price) for price in entry.prices] or None,
    }


def _price_fields(price: Price) -> Mapping[str, object]:
    return {
        "input": price.input,
        "cached": price.cached,
        "output": price.output,
        "currency": price.currency,
        "to_prompt": price.to_prompt,
        "until": None if price.until is None else price.until.isoformat(),
        "date": price.read_on.isoformat(),
        "source": list(price.source),
    }
