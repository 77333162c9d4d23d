"""``./scripts/chaos``."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click

from tests.chaos.page import PAGE, keep, page
from tests.chaos.plan import FAULTS, RATE, Mode, Plan, Protocol
from tests.chaos.played import played

_EPILOG = """\b
Examples:
  ./scripts/chaos                                     five minutes, all faults
  ./scripts/chaos --minutes 1 --faults F1,F4,F9       kills, zombies and a broker that dies
  ./scripts/chaos --tasks 100000 --out runs/long      some 50 minutes; the recording stays
  ./scripts/chaos --seed 7 --mode at_least_once --protocol consumer
  ./scripts/chaos --page                              docs/guarantee.md anew, of docs/evidence

\b
Exit codes: 0 all invariants hold, 1 one does not, 2 the command line is wrong, 69 a service can't be had.
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--minutes", type=click.FloatRange(min=0.2), help="How long tasks are sent; 5 unless --tasks says."
)
@click.option(
    "--tasks", type=click.IntRange(min=1), help=f"How many; {RATE:.0f} a second unless --minutes says."
)
@click.option("--seed", type=int, help="Of the load and the schedule; a new one unless given.")
@click.option("--faults", help=f"Of {', '.join(FAULTS)}, with commas; all unless given.")
@click.option("--mode", type=click.Choice(["exactly_once", "at_least_once"]), default="exactly_once")
@click.option("--protocol", type=click.Choice(["classic", "consumer"]), default="classic")
@click.option("--workers", type=click.IntRange(1, 32), default=4, show_default=True)
@click.option(
    "--intensity", type=click.FloatRange(0.1, 10.0), default=1.0, help="How many more faults than usual."
)
@click.option(
    "--patience", type=click.FloatRange(1.0, 10.0), default=1.0, help="Limits of time so many times as long."
)
@click.option("--shared", is_flag=True, help="Tasks and statuses on one topic.")
@click.option("--patch", default="", help="Break the worker by a patch of tests/chaos/patched.py.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the recording in this folder."
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object on standard output.")
@click.option("--record", metavar="NAME", help="Keep the report as docs/evidence/NAME.json too.")
@click.option("--page", "is_page", is_flag=True, help="Only make docs/guarantee.md of docs/evidence.")
def main(
    *,
    minutes: float | None,
    tasks: int | None,
    seed: int | None,
    faults: str | None,
    mode: Mode,
    protocol: Protocol,
    workers: int,
    intensity: float,
    patience: float,
    shared: bool,
    patch: str,
    out: Path | None,
    as_json: bool,
    record: str | None,
    is_page: bool,
) -> None:
    """Real workers on a real Kafka under faults; then a checker that never asks them."""
    if is_page:
        PAGE.write_text(page(), "utf-8")
        return
    signal.signal(signal.SIGTERM, _interrupt)
    seconds, count = _size(minutes, tasks)
    chosen = tuple(faults.replace(" ", "").split(",")) if faults is not None else tuple(FAULTS)
    if unknown := [name for name in chosen if name and name not in FAULTS]:
        raise click.BadParameter(f"{', '.join(unknown)}: there is {', '.join(FAULTS)}", param_hint="--faults")
    if out is not None and out.exists() and any(out.iterdir()):
        raise click.BadParameter(f"{out} is not empty", param_hint="--out")
    plan = Plan(
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        tasks=count,
        seconds=seconds,
        faults=tuple(name for name in chosen if name),
        mode=mode,
        protocol=protocol,
        workers=workers,
        intensity=intensity,
        patience=patience,
        shared=shared,
        patch=patch,
    )
    folder = out if out is not None else Path(tempfile.mkdtemp(prefix="llm-service-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        code = played(plan, folder, _command(plan), as_json=as_json)
        if record is not None and (folder / "report.json").exists():
            keep(record, json.loads((folder / "report.json").read_text("utf-8")))
        sys.exit(code)
    finally:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)


def _size(minutes: float | None, tasks: int | None) -> tuple[float, int]:
    if minutes is None:
        minutes = 5.0 if tasks is None else max(0.2, tasks / RATE / 60)
    return minutes * 60, tasks if tasks is not None else round(minutes * 60 * RATE)


def _command(plan: Plan) -> str:
    """What repeats it."""
    words = ["./scripts/chaos", "--tasks", str(plan.tasks), "--minutes", f"{plan.seconds / 60:g}"]
    words += ["--seed", str(plan.seed), "--mode", plan.mode, "--protocol", plan.protocol]
    words += ["--workers", str(plan.workers), *(["--shared"] if plan.shared else [])]
    words += ["--intensity", f"{plan.intensity:g}"] if plan.intensity != 1.0 else []
    words += ["--patience", f"{plan.patience:g}"] if plan.patience != 1.0 else []
    if plan.faults != tuple(FAULTS):
        words += ["--faults", ",".join(plan.faults)]
    return " ".join([*words, *(["--patch", plan.patch] if plan.patch else [])])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(prog_name="./scripts/chaos")
