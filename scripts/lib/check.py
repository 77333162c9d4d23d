"""Every check in order, and a summary that says what ran against what. Started by ``scripts/test``."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from scripts.lib.child import Child
from scripts.lib.outcome import Outcome, seeds_note
from scripts.lib.pytest_run import PytestRun
from scripts.lib.summary import show
from tests.services.reaper import Reaper

_STATIC = (
    ("formatting", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("strict types", ("mypy",)),
    ("import contracts", ("lint-imports",)),
)
_QUICK_LEAVES_OUT = ("contract on services", "integration", "acceptance")
_INTERRUPTED = 130
_SEEDS = 2_000
_QUICK_SEEDS = 40
# The seeds take half of it on two cores that have nothing else to do.
_SIMULATION_S = 300
# A slow day is no failure, and what says nothing is none that passes: each fault kind is met by so many seeds.
_LEAST_SEEDS = 300


class Check:
    """One run of everything. A stage that fails does not keep the later ones from running."""

    def __init__(self, arguments: Sequence[str], *, quick: bool, folder: Path, reaper: Reaper) -> None:
        self._quick = quick
        self._folder = folder
        self._reaper = reaper
        self._pytest = PytestRun(arguments, folder)
        self._current: Child | None = None
        self._builds: Child | None = None

    def run(self) -> int:
        began = time.monotonic()
        outcomes: list[Outcome] = []
        try:
            if not self._quick:
                self._builds = self._start_builds()
            outcomes += [self._static(name, command) for name, command in _STATIC]
            outcomes += self._tests("unit and contract tests", services=False)
            outcomes.append(self._simulation())
            if self._quick:
                outcomes += [Outcome(name, "left out", 0, "by --quick") for name in _QUICK_LEAVES_OUT]
            else:
                outcomes.append(self._await_builds())
                outcomes += self._tests("tests on real services", services=True)
        finally:
            self._end()
        show(outcomes, self._pytest.services(), time.monotonic() - began, quick=self._quick)
        return int(any(outcome.failed for outcome in outcomes))

    def _start_builds(self) -> Child:
        """Minutes with an empty cache, nothing with a full one: beside the stages that need no service."""
        command = [sys.executable, "-m", "tests.services", "prepare"]
        return Child(command, self._reaper, log=self._folder / "builds.log", nice=10)

    def _static(self, name: str, command: Sequence[str]) -> Outcome:
        began = time.monotonic()
        tool = str(Path(sys.executable).with_name(command[0]))
        code = self._run(name, [tool, *command[1:]])
        return Outcome(name, "FAILED" if code else "passed", time.monotonic() - began)

    def _simulation(self) -> Outcome:
        began = time.monotonic()
        seeds = _QUICK_SEEDS if self._quick else _SEEDS
        least = min(seeds, _LEAST_SEEDS)
        totals = self._folder / "simulation.json"
        limits = ("--seeds", str(seeds), "--least", str(least), "--seconds", str(_SIMULATION_S))
        command = ("-m", "tests.simulation", *limits, "--resume", str(totals))
        code = self._run("simulation", [sys.executable, *command])
        note = seeds_note(totals, seeds, _SIMULATION_S)
        return Outcome("simulation", "FAILED" if code else "passed", time.monotonic() - began, note)

    def _tests(self, name: str, *, services: bool) -> list[Outcome]:
        began = time.monotonic()
        code = self._run(name, self._pytest.command(services=services))
        return self._pytest.outcomes(code, time.monotonic() - began, services=services)

    def _await_builds(self) -> Outcome:
        assert self._builds is not None
        began = time.monotonic()
        if self._builds.is_running:
            _title("building the services")
        code = self._builds.wait("building the services")
        log = (self._folder / "builds.log").read_text(errors="replace")
        if code:
            sys.stdout.write(log)
        # What could not be built fails or skips the tests that need it, with the reason: not this stage.
        return Outcome("services built", "passed" if code == 0 else "in part", time.monotonic() - began)

    def _run(self, name: str, command: Sequence[str]) -> int:
        _title(name)
        self._current = Child(command, self._reaper)
        return self._current.wait(name)

    def _end(self) -> None:
        for child in (self._current, self._builds):
            if child is not None:
                child.end()


def _title(name: str) -> None:
    print(f"\n=== {name}", flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    quick = "--quick" in arguments
    rest = [argument for argument in arguments if argument != "--quick"]
    reaper = Reaper()
    try:
        with tempfile.TemporaryDirectory(prefix="llm-service-check-") as folder:
            reaper.watch_folder(Path(folder))
            return Check(rest, quick=quick, folder=Path(folder), reaper=reaper).run()
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is left running", flush=True)
        return _INTERRUPTED
    finally:
        reaper.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
