"""How far the reading of a topic is, on stderr where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from llm_service.cli.printable import printable_line

# A tenth of a second of reading: less would only flicker.
_WORTH_SHOWING = 10_000


@contextmanager
def reading_progress() -> Iterator[Callable[[str, int, int], None]]:
    """What is given is to be told, from any thread, of a topic, how much of it is read, and how much there is.

    The bars are gone when it is left.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda *_: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as progress:

        def tell(topic: str, read: int, total: int) -> None:
            if total < _WORTH_SHOWING:
                return
            if topic not in bars or read == 0:
                bars[topic] = progress.add_task(printable_line(f"reading {topic}"), total=total)
            progress.update(bars[topic], completed=read)

        yield tell
