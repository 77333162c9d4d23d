"""pytest's two runs: the tests that need no service, and those that do."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.lib.outcome import Counts, Outcome, read_report

_FOLDERS = {
    False: ("tests/unit", "tests/contract"),
    True: ("tests/contract", "tests/integration", "tests/acceptance"),
}
_NO_TESTS = 5
_FINE = (0, 1)  # all passed, some failed: the report has them


class PytestRun:
    """Commands and their outcomes. ``arguments`` are the caller's own; paths among them replace the folders."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self._options = [argument for argument in arguments if not _is_path(argument)]
        self._paths = [argument for argument in arguments if _is_path(argument)]
        self._folder = folder

    def command(self, *, services: bool) -> list[str]:
        paths = self._paths or list(_FOLDERS[services])
        return [
            sys.executable,
            "-m",
            "pytest",
            *("-m", "needs_service" if services else "not needs_service"),
            f"--junitxml={self._report(services=services)}",
            f"--services-report={self._services_report}",
            *self._options,
            *paths,
        ]

    def outcomes(self, code: int, seconds: float, *, services: bool) -> list[Outcome]:
        """One for each folder that had tests; the rest of the time is pytest's own start and end."""
        report = read_report(self._report(services=services))
        outcomes = [_outcome(folder, counts, services=services) for folder, counts in report.items()]
        if code == _NO_TESTS and (self._options or self._paths):
            code = 0  # the caller's choice may leave one of the two runs without a test
        broke = code not in _FINE or (code == 1 and not any(outcome.failed for outcome in outcomes))
        rest = max(0.0, seconds - sum(outcome.seconds for outcome in outcomes))
        name = "pytest on services" if services else "pytest"
        if broke:
            outcomes.append(Outcome(name, "FAILED", rest, f"ended with code {code}", Counts(failed=1)))
        else:
            outcomes.append(Outcome(name, "passed", rest, "collecting, starting, ending"))
        return outcomes

    def services(self) -> Mapping[str, str]:
        """What each service that a test asked for ran as, or why it could not."""
        if not self._services_report.exists():
            return {}
        found: Mapping[str, str] = json.loads(self._services_report.read_text())
        return found

    @property
    def _services_report(self) -> Path:
        return self._folder / "services.json"

    def _report(self, *, services: bool) -> Path:
        return self._folder / ("with-services.xml" if services else "without-services.xml")


def _outcome(folder: str, counts: Counts, *, services: bool) -> Outcome:
    stage = "contract on services" if services and folder == "contract" else folder
    return Outcome(stage, "FAILED" if counts.failed else "passed", counts.seconds, str(counts), counts)


def _is_path(argument: str) -> bool:
    return not argument.startswith("-") and Path(argument.partition("::")[0]).exists()
