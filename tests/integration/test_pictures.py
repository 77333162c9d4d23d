"""Pictures are drawn anew for vision models: upright, within bounds, and with nothing in them but pixels."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import ExifTags, Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from llm_service.errors import DocumentTooCostly, DocumentUnreadable, DocumentUnsupported, FileError
from llm_service.files.content_type import detect
from llm_service.files.conversion import pictures
from llm_service.files.conversion.bounds import Bounds
from llm_service.files.conversion.converter import Converter
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.conversion.process import Picture
from llm_service.files.pictures import redrawn
from llm_service.files.store import LocalFile
from tests.integration.conversion_cost import child_of, measured
from tests.unit.files import documents

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = b"canary-55.7558N-37.6173E"
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def converter() -> AsyncIterator[Converter]:
    made = Converter(ConversionPolicy(recycle_after=1_000))
    await made.start()
    yield made
    await made.close()


def stored(folder: Path, name: str, content: bytes) -> LocalFile:
    folder.mkdir(exist_ok=True)
    path = folder / "stored"
    path.write_bytes(content)
    return LocalFile(name, path, len(content), detect(path, name))


async def drawn(converter: Converter, file: LocalFile) -> list[Picture]:
    async with aclosing(converter.to_pictures(file)) as made:
        return [picture async for picture in made]


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def quarters(width: int = 60, height: int = 40) -> Image.Image:
    """Red and green over blue and white: which way up it is can be told from its corners."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for colour, x, y in (("red", 0, 0), ("lime", width // 2, 0), ("blue", 0, height // 2)):
        draw.rectangle((x, y, x + width // 2 - 1, y + height // 2 - 1), fill=colour)
    return image


def noise(width: int, height: int) -> Image.Image:
    """What nothing packs."""
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def corners(content: bytes) -> str:
    """The letters of the colours in the corners, row by row."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w", (0, 0, 0): "k"}
    places = [(x, y) for y in (3, image.height - 4) for x in (3, image.width - 4)]
    found = [image.getpixel(place) for place in places]
    return "".join(names[tuple(int(part > 127) for part in colour)] for colour in found)  # type: ignore[index,union-attr]


@pytest.mark.parametrize("form", FORMATS)
async def test_each_kind_becomes_what_all_vision_models_take(
    converter: Converter, tmp_path: Path, form: str
) -> None:
    (picture,) = await drawn(converter, stored(tmp_path, "a", saved(quarters(), form)))
    image = Image.open(io.BytesIO(picture.content))
    assert (image.format, picture.content_type) == ("PNG", "image/png")
    assert (image.size, image.mode) == ((60, 40), "RGB")
    assert corners(picture.content) == "rgbw"


async def test_a_photograph_is_a_jpeg(converter: Converter, tmp_path: Path) -> None:
    for form in ("JPEG", "PNG"):
        (picture,) = await drawn(converter, stored(tmp_path, "a", saved(noise(300, 200), form)))
        assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
        assert picture.content_type == "image/jpeg"


# What the eight values of EXIF's note do to a picture, by its corners.
TURNED = {1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb"}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
async def test_it_is_upright_whatever_way_the_camera_was_held(
    converter: Converter, tmp_path: Path, form: str
) -> None:
    for note, seen in TURNED.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = note
        (picture,) = await drawn(converter, stored(tmp_path, "a", saved(quarters(), form, exif=exif)))
        assert corners(picture.content) == seen, note
        image = Image.open(io.BytesIO(picture.content))
        assert image.size == ((60, 40) if note < 5 else (40, 60))
        assert dict(image.getexif()) == {}


def with_notes(form: str) -> bytes:
    """A picture that tells where it was taken, in each place that its format has for words."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = CANARY.decode()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = CANARY
    options: dict[str, object] = {"exif": exif}
    if form in {"JPEG", "WEBP"}:
        options |= {"xmp": b"<x:xmpmeta>" + CANARY + b"</x:xmpmeta>"}
    if form == "JPEG":
        options |= {"comment": CANARY}
    if form == "GIF":
        options = {"comment": CANARY}
    if form == "PNG":
        words = PngInfo()
        words.add_text("Comment", CANARY.decode())
        words.add_itxt("XML:com.adobe.xmp", CANARY.decode(), zip=False)
        options |= {"pnginfo": words}
    if form != "GIF":
        options |= {"icc_profile": CANARY * 10}
    return saved(quarters(), form, **options)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "GIF", "WEBP"])
async def test_nothing_is_left_but_its_pixels(converter: Converter, tmp_path: Path, form: str) -> None:
    whole = with_notes(form) + CANARY  # and behind its end
    assert whole.count(CANARY) >= 2
    (picture,) = await drawn(converter, stored(tmp_path, "a", whole))
    assert CANARY not in picture.content
    image = Image.open(io.BytesIO(picture.content))
    image.load()
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
    assert corners(picture.content) == "rgbw"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "YCbCr", "F"])
async def test_pixels_of_any_kind_are_seen(converter: Converter, tmp_path: Path, mode: str) -> None:
    form = "PNG" if mode in {"1", "L", "LA", "P", "RGBA", "I;16"} else "TIFF"
    if mode == "I;16":
        grey = quarters().convert("L").convert("I").point(lambda value: value * 256)
        content = saved(grey.convert("I;16"), form)
    else:
        content = saved(quarters().convert(mode), form)
    (picture,) = await drawn(converter, stored(tmp_path, "a", content))
    colourful = mode in {"P", "PA", "RGBA", "CMYK", "YCbCr"}
    shown = corners(picture.content)
    assert shown == "rgbw" if colourful else shown[3] == "w" and shown[2] == "k"


async def test_what_is_transparent_lies_on_white(converter: Converter, tmp_path: Path) -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    for content in (saved(clear, "PNG"), saved(clear, "WEBP", lossless=True), saved(clear, "GIF")):
        (picture,) = await drawn(converter, stored(tmp_path, "a", content))
        assert corners(picture.content) == "wwww"


async def test_it_is_no_larger_than_models_look(converter: Converter, tmp_path: Path) -> None:
    for form in ("JPEG", "PNG", "TIFF"):
        (picture,) = await drawn(converter, stored(tmp_path, "a", saved(quarters(6_000, 3_000), form)))
        assert Image.open(io.BytesIO(picture.content)).size == (3_000, 1_500)
        (picture,) = await drawn(converter, stored(tmp_path, "a", saved(quarters(5_000, 3_000), form)))
        assert Image.open(io.BytesIO(picture.content)).size == (4_096, 2_458)
        assert corners(picture.content) == "rgbw"


async def test_it_is_no_larger_than_vendors_take(converter: Converter, tmp_path: Path) -> None:
    (picture,) = await drawn(converter, stored(tmp_path, "a", saved(noise(3_000, 3_000), "BMP")))
    assert len(picture.content) <= pictures.MAX_BYTES


async def test_all_pages_of_a_scan_are_sent_in_their_order(converter: Converter, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    content = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    file = stored(tmp_path, "скан.tiff", content)
    folder = tmp_path / "own"
    folder.mkdir()
    async with redrawn(file, converter, folder) as files:
        assert [page.name for page in files] == [f"скан.tiff (page {number} of 3)" for number in (1, 2, 3)]
        assert [corners(page.path.read_bytes())[0] for page in files] == ["r", "g", "b"]
        assert {page.content_type for page in files} == {"image/png"}
    assert list(folder.iterdir()) == []


async def test_the_depth_of_a_phone_s_picture_is_no_page(converter: Converter, tmp_path: Path) -> None:
    content = saved(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    (picture,) = await drawn(converter, stored(tmp_path, "a.jpg", content))
    assert (picture.pages, corners(picture.content)) == (1, "rgbw")


# --- what is refused ------------------------------------------------------------------------------


def tiff_of(width: int, height: int) -> bytes:
    """Of one strip that is not there."""
    entries = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    entries.append((279, width * height % 2**32))
    body = struct.pack("<H", len(entries))
    body += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00" + struct.pack("<I", 8) + body + bytes(4)


def webp_of(side: int) -> bytes:
    """That says it is a square of so many pixels."""
    size = (side - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x10\x00\x00\x00" + size + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_of(width: int, height: int) -> bytes:
    content = bytearray(saved(Image.new("L", (8, 8)), "JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def of_many_scans() -> bytes:
    """A progressive picture whose last pass comes ten thousand times."""
    content = saved(Image.new("RGB", (2_000, 2_000), "red"), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * 10_000 + content[-2:]


def png_with(kind: bytes, body: bytes) -> bytes:
    """A small picture with one part more."""
    whole = saved(quarters(), "PNG")
    part = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return whole[:33] + part + whole[33:]


def film(frames: int) -> bytes:
    shades = [Image.new("L", (10, 10), number % 256) for number in range(frames)]
    return saved(shades[0], "GIF", save_all=True, append_images=shades[1:])


FLOOD = "more than 40000000 pixels"
BAD: dict[str, tuple[Callable[[], bytes], type[FileError], str]] = {
    "flood.png": (lambda: documents.png_of(20_000, 20_000), DocumentTooCostly, FLOOD),
    "flood.tiff": (lambda: tiff_of(60_000, 60_000), DocumentTooCostly, FLOOD),
    "flood.webp": (lambda: webp_of(16_383), DocumentTooCostly, FLOOD),
    "flood.jpg": (lambda: jpeg_of(60_000, 60_000), DocumentTooCostly, FLOOD),
    "scans.jpg": (of_many_scans, DocumentTooCostly, "passes over its pixels; at most 100"),
    "film.gif": (lambda: film(200), DocumentTooCostly, "more than 10 frames"),
    "text.png": (
        lambda: png_with(b"zTXt", b"Comment\x00\x00" + documents.zeros(200_000_000)),
        DocumentUnreadable,
        "is broken",
    ),
    "profile.png": (
        lambda: png_with(b"iCCP", b"p\x00\x00" + documents.zeros(200_000_000)),
        DocumentUnreadable,
        "is broken",
    ),
    "cut.jpg": (lambda: saved(quarters(), "JPEG")[:300], DocumentUnreadable, "is broken"),
    "not.png": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), DocumentUnreadable, "is broken"),
    "nothing.tiff": (lambda: b"II*\x00" + bytes(100), DocumentUnreadable, "is broken"),
}


@pytest.mark.parametrize("name", BAD)
async def test_wrong_pictures_are_refused_in_2_seconds_under_300_mb(
    converter: Converter, tmp_path: Path, name: str
) -> None:
    make, kind, words = BAD[name]
    await drawn(converter, stored(tmp_path, "a.png", documents.PNG))
    file = stored(tmp_path, name, make())
    with measured(child_of(converter)) as cost, pytest.raises(kind, match=words) as raised:
        await drawn(converter, file)
    assert type(raised.value) is kind
    assert f"{name!r}" in raised.value.message
    assert cost.cpu_s < 2
    assert cost.memory_bytes < 300_000_000


GOOD: dict[str, Callable[[], bytes]] = {
    "zeros.png": lambda: documents.png_of(6_300, 6_300),
    "colours.png": lambda: saved(quarters(6_300, 6_300), "PNG"),
    "clear.png": lambda: saved(quarters(6_300, 6_300).convert("RGBA"), "PNG"),
    "photo.jpg": lambda: saved(quarters(6_300, 6_300), "JPEG"),
    "scan.tiff": lambda: saved(quarters(6_300, 6_300).convert("1"), "TIFF", compression="group4"),
    "photo.png": lambda: saved(noise(4_000, 4_000), "PNG"),
    "palette.gif": lambda: saved(quarters(6_300, 6_300).quantize(), "GIF"),
    "ribbon.png": lambda: saved(quarters(40_000, 990), "PNG"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_the_largest_that_is_taken_fits_the_limits(
    converter: Converter, tmp_path: Path, name: str
) -> None:
    file = stored(tmp_path, name, GOOD[name]())
    await drawn(converter, stored(tmp_path / "small", "a.png", documents.PNG))
    with measured(child_of(converter)) as cost:
        (picture,) = await drawn(converter, file)
    assert max(Image.open(io.BytesIO(picture.content)).size) <= pictures.LONGEST_SIDE
    assert cost.cpu_s < 2
    assert cost.memory_bytes < 300_000_000


async def test_without_the_extra_it_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    with pytest.raises(DocumentUnsupported, match=r"'a\.png'.*extra llm-service\[documents\]"):
        pictures.sendable(io.BytesIO(documents.PNG), 1, Bounds("a.png", 10, 10))
