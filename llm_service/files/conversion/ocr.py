"""Pictures of text to text, by Tesseract inside this process: no program is started and no file written."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from llm_service.errors import DocumentUnsupported
from llm_service.files.conversion import pictures
from llm_service.files.conversion.bounds import Bounds

if TYPE_CHECKING:
    from PIL.Image import Image
    from tesserocr import PyTessBaseAPI

EXTRA = "llm-service[ocr]"
# Where systems keep the trained data: Debian's two, Fedora's and Alpine's, one's own build.
USUAL_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
# What Tesseract reads best, and what more pixels only make slower: A4 at 300 dpi, and a third more.
_READ_PIXELS = 12_000_000
_DPI = 300
_POINTS_AN_INCH = 72


class Recognizer:
    """Reads pictures. Loaded once for a process; ``missing`` says why it can't, else it is empty."""

    def __init__(self, languages: str, folder: str | None) -> None:
        self._engine: PyTessBaseAPI | None = None
        self.missing = _why_missing(languages, folder)
        if not self.missing:
            from tesserocr import PyTessBaseAPI

            # Now, since no trained data can be read any more when documents come.
            self._engine = PyTessBaseAPI(path=str(_data_folder(languages, folder)), lang=languages)

    def picture(self, stream: BinaryIO, bounds: Bounds) -> str:
        """The text of all frames. Raises DocumentUnsupported, DocumentUnreadable, DocumentTooCostly."""
        self._insist(bounds.name, "text out of pictures")
        texts = [self._read(_readable(frame)) for frame in pictures.frames(stream, bounds)]
        return "\n\n".join(text for text in texts if text)

    def pages(self, stream: BinaryIO, bounds: Bounds) -> str:
        """The text of a PDF document's pages as they look. Raises as ``picture`` does."""
        self._insist(bounds.name, "a PDF document without a text layer")
        texts = [self._read(page) for page in _rendered(stream)]
        return "\n\n".join(text for text in texts if text)

    def _insist(self, name: str, what: str) -> None:
        if self._engine is None:
            raise DocumentUnsupported(f"{name!r}: reading {what} {self.missing}")

    def _read(self, image: Image) -> str:
        assert self._engine is not None  # noqa: S101 # insisted upon
        try:
            self._engine.SetImage(image)
            self._engine.SetSourceResolution(_DPI)
            return str(self._engine.GetUTF8Text()).strip()
        finally:
            self._engine.Clear()


def _why_missing(languages: str, folder: str | None) -> str:
    if find_spec("tesserocr") is None or find_spec("PIL") is None:
        return f"needs the extra {EXTRA} (install it), or a model that sees pictures"
    if _data_folder(languages, folder) is None:
        return (
            f"needs Tesseract's data of the languages {languages}: install it (Debian: tesseract-ocr-rus), "
            "or name its folder in OCR_DATA_FOLDER; or ask a model that sees pictures"
        )
    return ""


def _data_folder(languages: str, folder: str | None) -> Path | None:
    """The first that has all of the languages."""
    places = [Path(place) for place in ((folder,) if folder else USUAL_FOLDERS)]
    wanted = [f"{language}.traineddata" for language in languages.split("+")]
    return next((place for place in places if all((place / name).is_file() for name in wanted)), None)


def _readable(frame: Image) -> Image:
    """In shades of grey on white, and not larger than is of use."""
    from PIL import ImageOps

    grey = pictures.on_white(ImageOps.exif_transpose(frame)).convert("L")
    factor = (_READ_PIXELS / (grey.width * grey.height)) ** 0.5
    if factor >= 1:
        return grey
    return grey.resize((max(1, int(grey.width * factor)), max(1, int(grey.height * factor))))


def _rendered(stream: BinaryIO) -> Iterator[Image]:
    """The pages at 300 dpi; a page of great size at as many as it may have pixels."""
    import pypdfium2

    stream.seek(0)
    document = pypdfium2.PdfDocument(stream.read())
    try:
        for page in document:
            width, height = page.get_size()
            most = (_READ_PIXELS / max(1.0, width * height)) ** 0.5
            picture = page.render(scale=min(_DPI / _POINTS_AN_INCH, most), grayscale=True)
            yield picture.to_pil()
            page.close()
    finally:
        document.close()
