"""The course of a check: all probes at once, none waited for too long, told in one order, one exit code."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping, Sequence

import pytest
from rich.console import Console

from llm_service.cli.checking.course import exit_code_for, look
from llm_service.cli.checking.finding import Finding, Probe, Verdict
from llm_service.cli.checking.plain_screen import JsonScreen, PlainScreen
from llm_service.cli.checking.probes import LIMIT_S, MODULES, probe_named
from llm_service.cli.checking.screen import duration, summary_line
from llm_service.cli.checking.table_screen import TableScreen, findings_table
from llm_service.cli.exit_codes import ExitCode
from llm_service.errors import DependencyUnavailable, SettingsInvalid
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from tests.manual_clock import ManualClock

OK = Finding("kafka", "connection", Verdict.OK, "there", None, 0.0031)
WARNING = Finding("kafka", "topic t", Verdict.WARNING, "small", "Make it larger.")
FAILED = Finding("minio", "keys", Verdict.FAILED, "refused\x1b[31m [red]", "Set others.")
SKIPPED = Finding("ollama", "connection", Verdict.SKIPPED, "not configured: set OLLAMA_BASE_URL")


def finds(*findings: Finding, after: asyncio.Event | None = None) -> Probe:
    async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
        if after is not None:
            await after.wait()
        return findings

    return probe


def raises(error: Exception) -> Probe:
    async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
        raise error

    return probe


async def run(
    probes: Mapping[str, Probe], *asked: str, clock: Clock | None = None
) -> tuple[ExitCode, list[dict[str, object]], str]:
    """Exit code, findings as JSON has them, and stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = await look(probes, asked, Settings(), JsonScreen(out, err), clock or ManualClock())
    return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


async def test_findings_come_in_the_order_of_the_probes_which_run_at_once() -> None:
    second_is_done = asyncio.Event()

    async def second(settings: Settings, clock: Clock) -> Sequence[Finding]:
        second_is_done.set()
        return [FAILED]

    code, found, err = await run({"kafka": finds(OK, WARNING, after=second_is_done), "minio": second})
    assert [finding["component"] for finding in found] == ["kafka", "kafka", "minio"]
    assert code is ExitCode.CHECK_FAILED
    assert err == "1 failed, 1 warning, 1 ok\n"


def test_only_a_failure_changes_the_exit_code() -> None:
    assert exit_code_for([OK, WARNING, SKIPPED]) is ExitCode.OK
    assert exit_code_for([OK, FAILED]) is ExitCode.CHECK_FAILED


async def test_what_is_not_configured_is_skipped_unless_it_was_asked_for() -> None:
    code, found, _ = await run({"ollama": finds(SKIPPED)})
    assert (code, found[0]["verdict"]) == (ExitCode.OK, "skipped")
    code, found, _ = await run({"ollama": finds(SKIPPED)}, "ollama")
    assert (code, found[0]["verdict"]) == (ExitCode.CHECK_FAILED, "failed")
    assert found[0]["seen"] == "not configured: set OLLAMA_BASE_URL"
    assert "leave ollama out" in str(found[0]["remedy"])
    code, found, _ = await run({"ollama": finds(OK, SKIPPED)}, "ollama")
    assert code is ExitCode.OK


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (DependencyUnavailable("it is away"), "it is away"),
        (KeyError("x"), "the check itself broke (KeyError: 'x')"),
    ],
)
async def test_a_probe_that_breaks_hides_nothing_of_the_others(error: Exception, seen: str) -> None:
    code, found, _ = await run({"kafka": raises(error), "minio": finds(OK)})
    assert code is ExitCode.CHECK_FAILED
    assert [finding["seen"] for finding in found] == [seen, "there"]
    assert found[0]["remedy"]


async def test_wrong_settings_are_no_finding() -> None:
    with pytest.raises(SettingsInvalid):
        await run({"kafka": raises(SettingsInvalid("wrong")), "minio": finds(OK)})


async def test_a_probe_that_does_not_end_is_ended() -> None:
    clock = ManualClock()
    running = asyncio.create_task(
        run({"kafka": finds(OK, after=asyncio.Event()), "minio": finds(OK)}, clock=clock)
    )
    await clock.advance(LIMIT_S)
    code, found, _ = await running
    assert code is ExitCode.CHECK_FAILED
    assert found[0]["seen"] == "did not end within 12 s"


def test_a_finding_as_a_line_as_json_and_in_the_table() -> None:
    out, err = io.StringIO(), io.StringIO()
    with PlainScreen(out, err) as screen:
        screen.found("kafka", [OK, WARNING, FAILED])
        screen.summary([])
    assert out.getvalue() == (
        "ok       kafka     connection: there (3 ms)\n"
        "warning  kafka     topic t: small → Make it larger.\n"
        "FAILED   minio     keys: refused\\x1b[31m [red] → Set others.\n"
    )
    assert err.getvalue() == "nothing to look at\n"
    out = io.StringIO()
    JsonScreen(out, err).found("kafka", [OK, FAILED])
    assert out.getvalue() == (
        '{"component": "kafka", "subject": "connection", "verdict": "ok", "seen": "there", "remedy": null, '
        '"seconds": 0.0031}\n'
        '{"component": "minio", "subject": "keys", "verdict": "failed", "seen": "refused\\u001b[31m [red]", '
        '"remedy": "Set others.", "seconds": null}\n'
    )
    console = Console(file=io.StringIO(), width=100, force_terminal=True, no_color=True, color_system=None)
    console.print(findings_table([OK, WARNING, FAILED]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]" in shown
    assert "\\x1b[31m" in shown
    assert "→ Set others." in shown


def test_colours_are_left_out_where_nobody_wants_them() -> None:
    out, err = io.StringIO(), io.StringIO()
    plain = {"NO_COLOR": "1"}
    consoles = [Console(file=to, width=100, force_terminal=True, _environ=plain) for to in (out, err)]
    screen = TableScreen(consoles[0], consoles[1], ["kafka"])
    with screen:
        screen.found("kafka", [FAILED])
        screen.summary([FAILED])
    assert "FAILED" in out.getvalue()
    assert "\x1b[31m" not in out.getvalue()
    assert "\x1b[1;31m" not in out.getvalue()
    assert "1 failed" in err.getvalue()


def test_times_and_counts_as_people_read_them() -> None:
    assert [duration(seconds) for seconds in (0.0004, 0.0031, 0.9, 1.26)] == [
        "<1 ms",
        "3 ms",
        "900 ms",
        "1.3 s",
    ]
    assert summary_line([WARNING, WARNING, SKIPPED]) == "2 warnings, 1 skipped"


def test_each_name_has_its_probe() -> None:
    assert all(callable(probe_named(name)) for name in MODULES)
