"""The probes by name, each imported when it is first asked for; run at once, none for longer than its limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import cast

from llm_service.cli.checking.finding import Finding, Probe, Verdict
from llm_service.errors import ServiceError, SettingsInvalid
from llm_service.resilience.clock import Clock
from llm_service.resilience.deadline import Deadline, TimeLimit
from llm_service.settings import Settings
from llm_service.settings.clouds import CLOUD_GROUPS

_PLACE = "llm_service.cli.checking"
MODULES: Mapping[str, str] = {
    **{name: f"{_PLACE}.{name}" for name in ("kafka", "minio", "postgres", "gigachat", "ollama", "gguf")},
    **dict.fromkeys(CLOUD_GROUPS, f"{_PLACE}.cloud"),
}
"""In the order in which they are shown: what everything else needs comes first."""

QUIET = frozenset({"gguf", *CLOUD_GROUPS})
"""Looked at only where they are configured or asked for: there are many, and most deployments have none of them."""

# Each probe bounds its waits so that 10 s are enough; this is for one that does not.
LIMIT_S = 12.0


class ProbeTooSlow(ServiceError):
    """The check did not end in its time."""

    code = "check_too_slow"


def probe_named(name: str) -> Probe:
    """The probe of a dependency, imported now."""
    module = import_module(MODULES[name])
    return cast("Probe", partial(module.probe, name) if name in CLOUD_GROUPS else module.probe)


def names_to_look_at(settings: Settings, asked: Iterable[str]) -> list[str]:
    """Those asked for; where none is, all but the quiet ones that are not configured."""
    wanted = set(asked)
    used = {"gguf"} if settings.gguf.configured else set()
    used |= settings.clouds.keys()
    return [name for name in MODULES if (name in wanted if wanted else name not in QUIET or name in used)]


async def run_probes(
    probes: Mapping[str, Probe], asked: Iterable[str], settings: Settings, clock: Clock
) -> AsyncGenerator[tuple[str, Sequence[Finding]], None]:
    """All of them at once; their findings in the order of ``probes``, each as soon as those before are told.

    ``asked`` are those the user has named: not being configured is a failure there. Raises SettingsInvalid.
    """
    running = {
        name: asyncio.create_task(_bounded(name, probe, settings, clock), name=f"check {name}")
        for name, probe in probes.items()
    }
    try:
        for name, task in running.items():
            findings = await task
            yield name, _as_asked(findings) if name in asked else findings
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _bounded(name: str, probe: Probe, settings: Settings, clock: Clock) -> Sequence[Finding]:
    try:
        async with TimeLimit(clock, Deadline.after(clock, LIMIT_S).at, ProbeTooSlow):
            return await probe(settings, clock)
    except SettingsInvalid:
        raise
    except ProbeTooSlow:
        seen = f"did not end within {LIMIT_S:.0f} s"
        return [Finding(name, "check", Verdict.FAILED, seen, f"See whether {name} hangs, and check again.")]
    except ServiceError as error:
        return [Finding(name, "check", Verdict.FAILED, error.message, "Do as it says, then check again.")]
    except Exception as error:  # one probe's bug must not hide what the others have found
        seen = f"the check itself broke ({type(error).__name__}: {error})"
        return [Finding(name, "check", Verdict.FAILED, seen, "Report this as a bug of llm-service.")]


def _as_asked(findings: Sequence[Finding]) -> Sequence[Finding]:
    if any(finding.verdict is not Verdict.SKIPPED for finding in findings):
        return findings
    return [
        Finding(
            finding.component,
            finding.subject,
            Verdict.FAILED,
            finding.seen,
            f"Set what it needs, or leave {finding.component} out of the command.",
        )
        for finding in findings
    ]
