"""``./scripts/picture``: record the demonstration and write its picture."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from scripts.recording.drawing import draw
from scripts.recording.storyboard import tell
from scripts.recording.terminal import record, replay

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "./scripts/demo"
COLUMNS, ROWS = 100, 30
# More than all samples and their answers take.
_HEIGHT = 400
_LIMIT_S = 120.0
_TITLE = "A terminal: ./scripts/demo sends five documents, shows each task's status as it changes, then the answers."


def main() -> None:
    parser = argparse.ArgumentParser(prog="./scripts/picture", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures" / "demo.svg")
    output: Path = parser.parse_args().output
    # Neither this machine's settings nor its folders are to be seen.
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "TMPDIR": "/tmp",
        "HOME": "/tmp",
    }
    typed = (0.0, f"\x1b[32m$\x1b[0m \x1b[1m{COMMAND}\x1b[0m\r\n".encode())
    pieces = record([COMMAND, "--env-file", os.devnull], ROOT, environment, COLUMNS, ROWS, _LIMIT_S)
    story = tell(replay([typed, *pieces], COLUMNS, _HEIGHT), ROWS)
    output.write_text(draw(story, COLUMNS, ROWS, _TITLE), "utf-8")
    print(
        f"{output.name}: {output.stat().st_size / 1000:.0f} kB, {len(story.shots)} shots, {len(story.stops)} stops"
    )


if __name__ == "__main__":
    main()
