"""Pictures opened within bounds, for those who read them and for those who send them. Runs in the child process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from math import ceil, sqrt
from typing import TYPE_CHECKING, BinaryIO

from llm_service.errors import DocumentTooCostly, DocumentUnreadable, DocumentUnsupported
from llm_service.files.conversion.bounds import Bounds

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
# A page of A4 has 9 million at 300 dpi and 35 million at 600; unpacked, a pixel is 3 or 4 bytes.
MAX_PIXELS = 40_000_000
# A progressive JPEG has about ten; each is a pass over all pixels, and costs its sender a few bytes.
MAX_SCANS = 100
_SCAN = b"\xff\xda"
# No vision model looks closer: the largest take 12 million pixels, most of them scale to 2,048 a side and less.
LONGEST_SIDE = 4_096
# What the strictest vendor takes of one picture (Anthropic: 5 MB of Base64, which is a third longer).
MAX_BYTES = 3_750_000
# Drawings, scans and screenshots, whose edges JPEG would blur, have few; photographs have many more.
_FEW_COLOURS = 4_096
_QUALITIES = (90, 75)
# Pixels: copies of a picture of 16 million in colours and of its strips stay below 300 MB together.
_MOST_COPIED = 16_800_000
_STRIP = 1_000_000
_GREY = frozenset({"1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
# Formats whose further frames are no pages: the second picture of a phone's JPEG is its depth, or its brightness.
_OF_ONE_PAGE = frozenset({"JPEG", "MPO"})
PNG, JPEG = "image/png", "image/jpeg"


@dataclass(frozen=True, slots=True)
class Sendable:
    """A picture as vision models take it, without anything but its pixels: no place, no camera, no comment."""

    content: bytes
    content_type: str
    pages: int
    """Of the file it is from."""


def load() -> bool:
    """Read in the formats' own modules, which can't be done any more when documents come. False: they are missing."""
    if find_spec("PIL") is None:
        return False
    from PIL import Image

    Image.init()
    return True


def sendable(stream: BinaryIO, page: int, bounds: Bounds) -> Sendable:
    """The page of that number, from 1. Raises DocumentUnsupported, DocumentUnreadable, DocumentTooCostly."""
    if find_spec("PIL") is None:
        raise DocumentUnsupported(
            f"{bounds.name!r}: sending pictures needs the extra llm-service[documents]; install it"
        )
    with opened(stream, bounds) as image:
        pages = sum(1 for _ in _pages(image, bounds))
        image.seek(page - 1)
        factor = _factor(image)
        # A JPEG is unpacked smaller at once; anything else stays as it is here.
        image.draft(None, (image.width // factor, image.height // factor))
        image.load()
        content, content_type = _encoded(_upright(_shrunk(_flat(image)), image))
    return Sendable(content, content_type, pages)


def frames(stream: BinaryIO, bounds: Bounds) -> Iterator[Image]:
    """All pages one after the other. Raises DocumentUnreadable, DocumentTooCostly."""
    with opened(stream, bounds) as image:
        yield from _pages(image, bounds)


@contextmanager
def opened(stream: BinaryIO, bounds: Bounds) -> Iterator[Image]:
    """The picture by its header: nothing has been unpacked. Raises DocumentUnreadable, DocumentTooCostly."""
    from PIL import Image, UnidentifiedImageError

    _judge_scans(stream, bounds)
    try:
        with Image.open(stream, formats=FORMATS) as image:
            judge_size(image, bounds)
            yield image
    except Image.DecompressionBombError:
        raise _too_many_pixels(bounds.name) from None
    except UnidentifiedImageError:
        raise DocumentUnreadable(f"{bounds.name!r} is broken: it can't be opened as a picture") from None


def judge_size(image: Image, bounds: Bounds) -> None:
    """By what the header says. Raises DocumentTooCostly."""
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(bounds.name)


def on_white(image: Image) -> Image:
    """Without transparency, as on paper."""
    from PIL import Image

    if "A" not in image.getbands() and "a" not in image.getbands() and "transparency" not in image.info:
        return image
    coloured = image.convert("RGBA")
    paper = Image.new("RGB", coloured.size, "white")
    paper.paste(coloured, mask=coloured.getchannel("A"))
    return paper


def _judge_scans(stream: BinaryIO, bounds: Bounds) -> None:
    content = stream.read()
    stream.seek(0)
    # Inside packed pixels JPEG never has these two bytes.
    if content.startswith(b"\xff\xd8") and (scans := content.count(_SCAN)) > MAX_SCANS:
        raise DocumentTooCostly(
            f"{bounds.name!r} is a picture of {scans} passes over its pixels; at most {MAX_SCANS} are taken"
        )


def _pages(image: Image, bounds: Bounds) -> Iterator[Image]:
    """Each in its turn; the number that a file gives of itself is its author's word."""
    for number in count():
        try:
            image.seek(number)
        except EOFError:
            return
        bounds.judge_pages(number + 1, "frames")
        # A later one may be larger than the first.
        judge_size(image, bounds)
        yield image
        if image.format in _OF_ONE_PAGE:
            return


def _factor(image: Image) -> int:
    """By which its sides are divided before anything else, so that no copy of it is larger than this."""
    return ceil(sqrt(image.width * image.height / _MOST_COPIED))


def _flat(image: Image) -> Image:
    """In grey or in colours of 8 bits, on white; strip by strip, so that there is one copy and a small one."""
    from PIL import Image

    factor = _factor(image)
    mode = "L" if image.mode in _GREY and "transparency" not in image.info else "RGB"
    flat = Image.new(mode, (ceil(image.width / factor), ceil(image.height / factor)))
    step = max(1, _STRIP // (image.width * factor)) * factor
    for top in range(0, image.height, step):
        strip = image.crop((0, top, image.width, min(top + step, image.height)))
        flat.paste(on_white(_in_8_bits(strip)).convert(mode).reduce(factor), (0, top // factor))
    return flat


def _in_8_bits(image: Image) -> Image:
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image


def _shrunk(image: Image) -> Image:
    factor = LONGEST_SIDE / max(image.size)
    return image if factor >= 1 else _scaled(image, factor)


def _scaled(image: Image, factor: float) -> Image:
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def _upright(image: Image, source: Image) -> Image:
    """As the camera's note of how it was held says; the note is not kept."""
    from PIL import ExifTags, Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    # Asked when the pixels are there: TIFF's are turned as they are loaded, and the note is gone then.
    turn = turns.get(source.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _encoded(image: Image) -> tuple[bytes, str]:
    """PNG where that is exact and small, else JPEG; never larger than is taken."""
    if image.mode == "L" or image.getcolors(_FEW_COLOURS) is not None:
        content = _saved(image, "PNG", compress_level=6)
        if len(content) <= MAX_BYTES:
            return content, PNG
    while True:
        for quality in _QUALITIES:
            content = _saved(image, "JPEG", quality=quality, subsampling=0)
            if len(content) <= MAX_BYTES:
                return content, JPEG
        image = _scaled(image, 0.5)


def _saved(image: Image, form: str, **options: int) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def _too_many_pixels(name: str) -> DocumentTooCostly:
    return DocumentTooCostly(f"{name!r} has more than {MAX_PIXELS} pixels; at most {MAX_PIXELS} are taken")
