"""How far an upload is, on stderr where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from llm_service.cli.printable import printable_line
from llm_service.cli.submission.source import SourceFile

# A tenth of a second on a network of 100 Mbit/s: less would only flicker.
_WORTH_SHOWING_BYTES = 1_000_000


@contextmanager
def upload_progress(source: SourceFile) -> Iterator[Callable[[int], None]]:
    """What is given is to be told, from any thread, how many bytes more were read. The bar is gone when it is left."""
    console = Console(stderr=True, highlight=False)
    if source.size < _WORTH_SHOWING_BYTES or not console.is_terminal or console.is_dumb_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(printable_line(source.name), total=source.size)
        yield lambda count: progress.update(bar, advance=count)
