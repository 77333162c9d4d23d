"""``python -m tests.chaos.checker FOLDER``: judges a recording; exit 0 where all invariants hold, 1 where one does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from scripts.benchmark.surroundings import surroundings
from tests.chaos.checker.book import Book
from tests.chaos.checker.judging import judge, verdict
from tests.chaos.picture import picture
from tests.chaos.report import text


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the text.")
def main(*, folder: Path, as_json: bool) -> None:
    """Judge the recording in FOLDER; leaves report.txt, report.json and picture.svg there."""
    book = Book(folder)
    found = verdict(book, judge(book))
    # A recording can be judged again, by a later checker than that of its run.
    found["about"] = {**found["about"], "checker": surroundings("", "")["commit"]}
    plain = json.dumps(found, ensure_ascii=False)
    (folder / "report.json").write_text(plain + "\n")
    (folder / "report.txt").write_text(text(found))
    (folder / "picture.svg").write_text(picture(book))
    click.echo(plain if as_json else text(found), nl=as_json)
    sys.exit(0 if found["holds"] else 1)


if __name__ == "__main__":
    main()
