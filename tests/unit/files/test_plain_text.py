"""Russian text in the encodings it is met in."""

from __future__ import annotations

import time

import pytest

from llm_service.files.conversion.plain_text import decode

RUSSIAN = [
    "Договор поставки № 5 от 12 мая. Стороны договорились о нижеследующем.",
    "ДОГОВОР ПОСТАВКИ ТОВАРА",
    "Уважаемый Иван Петрович!\n\nСообщаем Вам, что счёт оплачен (см. приложение).",
    "Invoice 2026-11-20: оплата по счёту, total 100 EUR",
    "Ёлка и мёд",
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1251", "koi8-r", "cp866"])
@pytest.mark.parametrize("text", RUSSIAN)
def test_russian_comes_out_right(text: str, encoding: str) -> None:
    known = text.replace("№", "N") if encoding in {"koi8-r"} else text
    assert decode(known.encode(encoding)) == known


@pytest.mark.parametrize(
    "text", ["Le café était fermé à Noël.", "Größe: 5 €, „gut“", "señor, mañana – ¿qué?"]
)
def test_western_text_is_not_taken_for_russian(text: str) -> None:
    assert decode(text.encode("cp1252")) == text


def test_line_ends_are_one_kind() -> None:
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"


@pytest.mark.parametrize("content", [b"", bytes(range(128, 256)) * 50, b"\xff\xfe\x00", b"\xef\xbb\xbf"])
def test_no_bytes_are_too_odd(content: bytes) -> None:
    assert isinstance(decode(content), str)


def test_ten_megabytes_take_no_longer_than_reading_them() -> None:
    began = time.process_time()
    assert len(decode(("Слово и дело. " * 715_000).encode("cp1251"))) == 10_010_000
    assert time.process_time() - began < 2
