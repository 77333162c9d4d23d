"""Spreadsheets in XLSX: how large the tables are that they would become, before anything builds them.

A single cell at the far corner of a sheet is 100 bytes of XML and a table of 17 thousand million cells.
"""

from __future__ import annotations

import re
import zipfile
from typing import BinaryIO
from xml.parsers import expat

from llm_service.errors import DocumentTooCostly

# Some 100 bytes each as Markdown is built of them; a table that people filled in has fewer.
MAX_CELLS = 1_000_000
_SHEET = re.compile(r"xl/(?:worksheets|chartsheets)/[^/]{1,100}\.xml", re.IGNORECASE)
_PLACE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_STEP_BYTES = 64 * 1024


def judge(stream: BinaryIO, name: str) -> None:
    """Raises DocumentTooCostly. Leaves the stream at its beginning; broken XML is left to its own parser to name."""
    cells = 0
    with zipfile.ZipFile(stream) as archive:
        for part in archive.namelist():
            if _SHEET.fullmatch(part):
                cells += _area(archive, part)
                if cells > MAX_CELLS:
                    raise DocumentTooCostly(
                        f"{name!r} has sheets that spread over more than {MAX_CELLS} cells; "
                        "delete what stands far outside its tables"
                    )
    stream.seek(0)


class _Extent:
    """The furthest row and column of one sheet that hold a cell."""

    def __init__(self) -> None:
        self.rows = 0
        self.columns = 0
        self._column = 0

    def element(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "row":
            given = attributes.get("r", "")
            self.rows = max(self.rows + 1, int(given) if given.isdecimal() and len(given) < 8 else 0)
            self._column = 0
        elif tag == "c":
            self._column += 1
            found = _PLACE.fullmatch(attributes.get("r", ""))
            if found is not None:
                self._column = _column_number(found[1])
                self.rows = max(self.rows, int(found[2]))
            self.columns = max(self.columns, self._column)


def _area(archive: zipfile.ZipFile, part: str) -> int:
    extent = _Extent()
    parser = expat.ParserCreate()
    parser.StartElementHandler = extent.element
    with archive.open(part) as content:
        try:
            while piece := content.read(_STEP_BYTES):
                parser.Parse(piece)
                if extent.rows * extent.columns > MAX_CELLS:
                    break
        except expat.ExpatError:
            pass
    return extent.rows * extent.columns


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
