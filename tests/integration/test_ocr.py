"""Pictures of text become text where Tesseract is, and floods of pixels are refused by what their header says."""

from __future__ import annotations

import importlib.util
import io
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
import pytest_asyncio
from PIL import Image

from llm_service import samples
from llm_service.errors import DocumentTooCostly, DocumentUnreadable, DocumentUnsupported, FileError
from llm_service.files.content_type import detect
from llm_service.files.conversion import ocr
from llm_service.files.conversion.bounds import Bounds
from llm_service.files.conversion.converter import Converter
from llm_service.files.conversion.ocr import Recognizer
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.store import LocalFile
from tests.integration.conversion_cost import child_of, measured
from tests.services.commands import install_debian
from tests.unit.files import documents

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DATA = Path("/usr/share/tesseract-ocr/5/tessdata")
REPORT = Path(samples.__file__).parent / "report_ru.pdf"
BOUNDS = Bounds("a.png", 10, 1_000)


@pytest.fixture(scope="module", autouse=True)
def trained_data() -> None:
    """As the README says to install it."""
    if not all((_DATA / f"{language}.traineddata").is_file() for language in ("rus", "eng")):
        install_debian("tesseract-ocr-rus", "tesseract-ocr-eng")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def converter() -> AsyncIterator[Converter]:
    made = Converter(ConversionPolicy(max_pages=3))
    await made.start()
    yield made
    await made.close()


def stored(folder: Path, name: str, content: bytes) -> LocalFile:
    path = folder / "stored"
    path.write_bytes(content)
    return LocalFile(name, path, len(content), detect(path, name))


WORDS = "Invoice 12345 total 100 EUR"
GOOD = {
    "a.png": documents.picture(WORDS),
    "a.jpg": documents.picture(WORDS, "JPEG"),
    "a.tiff": documents.picture(WORDS, "TIFF"),
    "a.bmp": documents.picture(WORDS, "BMP"),
    "a.gif": documents.picture(WORDS, "GIF"),
    "a.webp": documents.picture(WORDS, "WEBP"),
    "of-no-name": documents.picture(WORDS),
    "scan.pdf": documents.picture(WORDS, "PDF"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_pictures_become_text(converter: Converter, tmp_path: Path, name: str) -> None:
    assert await converter.to_text(stored(tmp_path, name, GOOD[name])) == WORDS


async def test_russian_is_read(converter: Converter, tmp_path: Path) -> None:
    report = await converter.to_text(stored(tmp_path, "report.pdf", REPORT.read_bytes()))
    words = {word for word in report.split() if word.isalpha() and len(word) > 6}
    page = pypdfium2.PdfDocument(REPORT)[0].render(scale=3).to_pil()
    target = io.BytesIO()
    page.save(target, "PNG")
    read = await converter.to_text(stored(tmp_path, "report.png", target.getvalue()))
    found = words & set(read.split())
    assert len(found) > 20
    assert len(found) > 0.9 * len(words)


async def test_a_transparent_picture_lies_on_white(converter: Converter, tmp_path: Path) -> None:
    opaque = Image.open(io.BytesIO(documents.picture(WORDS))).convert("L")
    seen = Image.new("RGBA", opaque.size, (0, 0, 0, 0))
    seen.paste((0, 0, 0, 255), mask=opaque.point(lambda shade: 255 - shade))
    target = io.BytesIO()
    seen.save(target, "PNG")
    assert await converter.to_text(stored(tmp_path, "a.png", target.getvalue())) == WORDS


def frames(count: int) -> bytes:
    first = Image.open(io.BytesIO(documents.picture(WORDS)))
    target = io.BytesIO()
    first.save(target, "TIFF", save_all=True, append_images=[first] * (count - 1))
    return target.getvalue()


async def test_all_frames_are_read(converter: Converter, tmp_path: Path) -> None:
    text = await converter.to_text(stored(tmp_path, "a.tiff", frames(3)))
    assert text == "\n\n".join([WORDS] * 3)


def header(form: str, side: int) -> bytes:
    """A picture of one pixel that says it is a square of so many."""
    target = io.BytesIO()
    Image.new("RGB", (1, 1)).save(target, form)
    content = target.getvalue()
    match form:
        case "BMP":
            return content[:18] + struct.pack("<ii", side, side) + content[26:]
        case "GIF":
            return content[:6] + struct.pack("<HH", side, side) + content[10:]
    raise ValueError(form)


BAD: dict[str, tuple[Callable[[], bytes], type[FileError], str]] = {
    "flood.png": (lambda: documents.png_of(20_000, 20_000), DocumentTooCostly, "more than 40000000 pixels"),
    "vast.png": (lambda: documents.png_of(5_000_000, 10), DocumentTooCostly, "more than 40000000 pixels"),
    "flood.bmp": (lambda: header("BMP", 30_000), DocumentTooCostly, "more than 40000000 pixels"),
    "flood.gif": (lambda: header("GIF", 60_000), DocumentTooCostly, "more than 40000000 pixels"),
    "frames.tiff": (lambda: frames(4), DocumentTooCostly, "more than 3 frames"),
    "cut.jpg": (lambda: documents.picture(WORDS, "JPEG")[:400], DocumentUnreadable, "is broken"),
    "not.png": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), DocumentUnreadable, "is broken"),
    "white.png": (lambda: documents.png_of(200, 200), DocumentUnreadable, "holds no text"),
    "drawn.pdf": (
        lambda: documents.pdf_of_streams([b"0 0 m 9 9 l S"]),
        DocumentUnreadable,
        "holds no text",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_wrong_pictures_are_refused_in_2_seconds_under_300_mb(
    converter: Converter, tmp_path: Path, name: str
) -> None:
    make, kind, words = BAD[name]
    assert await converter.to_text(stored(tmp_path, "a.txt", b"before")) == "before"
    picture = stored(tmp_path, name, make())
    with measured(child_of(converter)) as cost, pytest.raises(kind, match=words) as raised:
        await converter.to_text(picture)
    assert type(raised.value) is kind
    assert f"{name!r}" in raised.value.message
    assert cost.cpu_s < 2
    assert cost.memory_bytes < 300_000_000


async def test_the_largest_picture_that_is_taken_fits_the_limits(
    converter: Converter, tmp_path: Path
) -> None:
    large = Image.new("RGB", (6_300, 6_300), "white")
    large.paste(Image.open(io.BytesIO(documents.picture(WORDS))).resize((4_000, 700)), (1_000, 1_000))
    target = io.BytesIO()
    large.save(target, "PNG")
    assert await converter.to_text(stored(tmp_path, "a.png", target.getvalue())) == WORDS


async def test_without_the_extra_a_picture_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(ocr, "find_spec", lambda name: None if name == "tesserocr" else found(name))
    recognizer = Recognizer("rus+eng", None)
    with pytest.raises(DocumentUnsupported, match=r"'a\.png'.*extra llm-service\[ocr\].*sees pictures"):
        recognizer.picture(io.BytesIO(documents.PNG), BOUNDS)
    with pytest.raises(DocumentUnsupported, match=r"without a text layer.*llm-service\[ocr\]"):
        recognizer.pages(io.BytesIO(GOOD["scan.pdf"]), BOUNDS)


async def test_without_trained_data_a_picture_is_refused_with_what_to_do(tmp_path: Path) -> None:
    converter = Converter(ConversionPolicy(ocr_folder=tmp_path))
    with pytest.raises(DocumentUnsupported, match=r"data of the languages rus\+eng.*OCR_DATA_FOLDER"):
        await converter.to_text(stored(tmp_path, "a.png", documents.PNG))
    assert await converter.to_text(stored(tmp_path, "a.txt", b"text")) == "text"
    await converter.close()


async def test_processor_time_ends_a_scan_of_many_pages(tmp_path: Path) -> None:
    page = Image.open(io.BytesIO(documents.picture("word " * 60))).convert("L")
    sheet = Image.new("L", (page.width, 3_000), 255)
    for line in range(18):
        sheet.paste(page, (0, line * 160))
    target = io.BytesIO()
    sheet.save(target, "PDF", save_all=True, append_images=[sheet] * 20, resolution=300)
    converter = Converter(replace(ConversionPolicy(), cpu_s=2))
    with pytest.raises(DocumentTooCostly, match=r"scan\.pdf.*2 s of processor time"):
        await converter.to_text(stored(tmp_path, "scan.pdf", target.getvalue()))
    await converter.close()
