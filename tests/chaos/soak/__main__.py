"""``./scripts/soak``."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import click

from tests.acceptance.worker import ROOT
from tests.chaos.checker.book import Book
from tests.chaos.page import PAGE, keep, page
from tests.chaos.plan import Plan
from tests.chaos.played import played
from tests.chaos.soak.drawing import drawing
from tests.chaos.soak.measures import WARM_UP_S, soak
from tests.chaos.soak.section import text

PICTURE = ROOT / "docs" / "pictures" / "soak.svg"
WORKERS, POOL = 2, 20
# Answers take from none to two seconds, one on average: two pools of 20 carry 40 tasks a second, half of that comes.
SLOWEST_S = 2.0
HALF_LOAD = WORKERS * POOL / (SLOWEST_S / 2) / 2
# Full after 200 s of the ten tasks a second that a worker has, well within the warm-up: what it remembers is no growth.
_WINDOW = 2000
_LOOK_EVERY_S = 10.0

_EPILOG = """\b
Examples:
  ./scripts/soak                       an hour; then docs/evidence/soak.json, docs/pictures/soak.svg and the page
  ./scripts/soak --minutes 2 --no-record
  ./scripts/soak --again DIR           measure a kept recording again

\b
Exit codes: 0 all invariants hold and nothing grows, 1 one does not or something does, 2 the command line is
wrong, 69 a service can't be had.
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", type=click.FloatRange(min=2.0), default=60.0, show_default=True)
@click.option("--seed", type=int, help="Of the load; a new one unless given.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the recording in this folder."
)
@click.option(
    "--again",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Only measure the recording in this folder, which --out kept.",
)
@click.option("--record/--no-record", default=True, help="Whether docs/ gets record, picture and page.")
def main(*, minutes: float, seed: int | None, out: Path | None, again: Path | None, record: bool) -> None:
    """Two workers at half of what they carry, without faults; the judge's verdict, and what grew meanwhile."""
    signal.signal(signal.SIGTERM, _interrupt)
    if again is not None:
        sys.exit(_told(again, record=record))
    if out is not None and out.exists() and any(out.iterdir()):
        raise click.BadParameter(f"{out} is not empty", param_hint="--out")
    folder = out if out is not None else Path(tempfile.mkdtemp(prefix="llm-service-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    try:
        code = played(
            _plan(minutes, seed), folder, f"./scripts/soak --minutes {minutes:g} --seed {seed}", as_json=False
        )
        sys.exit(code if code > 1 else _told(folder, record=record))
    finally:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)


def _plan(minutes: float, seed: int) -> Plan:
    return Plan(
        seed=seed,
        tasks=round(minutes * 60 * HALF_LOAD),
        seconds=minutes * 60,
        faults=(),
        workers=WORKERS,
        pool=POOL,
        # Members balance the partitions of both topics together: with as many of this one as of the tasks one worker
        # might have all tasks and the other all retries.
        retry_partitions=1,
        slowest_s=SLOWEST_S,
        dedup_window=_WINDOW,
        look_every_s=_LOOK_EVERY_S,
    )


def _told(folder: Path, *, record: bool) -> int:
    """The exit code of a recording that the checker has judged."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    book = Book(folder)
    # A run of some minutes has no warm-up of ten.
    found = report | {"soak": soak(book, min(WARM_UP_S, book.plan.seconds / 6))}
    title = (
        f"{book.plan.seconds / 60:g} minutes at half load, one point a minute: {len(book.by_task):,} tasks, "
        f"{book.plan.workers} workers × {book.plan.pool} slots, {report['about']['date']}"
    )
    svg = drawing(found["soak"], title)
    (folder / "soak.json").write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")
    (folder / "soak.svg").write_text(svg, "utf-8")
    if record:
        keep("soak", found)
        PICTURE.write_text(svg, "utf-8")
        PAGE.write_text(page(), "utf-8")
    click.echo(text(found))
    return 0 if report["holds"] and found["soak"]["holds"] else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(prog_name="./scripts/soak")
