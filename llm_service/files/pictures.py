"""Pictures of tasks as vision models take them, on this machine's disk."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from llm_service.files.conversion.converter import Converter
from llm_service.files.conversion.process import Picture
from llm_service.files.store import LocalFile
from llm_service.files.work_folder import work_folder_errors


@asynccontextmanager
async def redrawn(
    file: LocalFile, converter: Converter, folder: Path
) -> AsyncIterator[tuple[LocalFile, ...]]:
    """Each page of a picture as a file of its own in ``folder``, PNG or JPEG, for as long as the context lasts.

    Raises DocumentUnsupported, DocumentUnreadable, DocumentTooCostly, ConversionUnavailable, WorkFolderUnavailable.
    """
    made: list[LocalFile] = []
    try:
        async with aclosing(converter.to_pictures(file)) as pictures:
            async for picture in pictures:
                path = await asyncio.to_thread(_kept, picture, folder)
                made.append(LocalFile(_name(file, picture, len(made) + 1), path, *_facts(picture)))
        yield tuple(made)
    finally:
        for page in made:
            page.path.unlink(missing_ok=True)


def _name(file: LocalFile, picture: Picture, page: int) -> str:
    return file.name if picture.pages == 1 else f"{file.name} (page {page} of {picture.pages})"


def _facts(picture: Picture) -> tuple[int, str]:
    return len(picture.content), picture.content_type


def _kept(picture: Picture, folder: Path) -> Path:
    with work_folder_errors():
        made, path = tempfile.mkstemp(dir=folder)
        with os.fdopen(made, "wb") as file:
            file.write(picture.content)
    return Path(path)
