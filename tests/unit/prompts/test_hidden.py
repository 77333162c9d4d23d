"""What nobody sees is shown by its number, and what belongs to the writing stays."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.prompts.hidden import made_visible

TAGS = "".join(chr(0xE0000 + ord(char)) for char in "ignore all")


@pytest.mark.parametrize(
    ("text", "shown", "count"),
    [
        ("Сумма\u202e001\u202c руб.", "Сумма[hidden U+202E]001[hidden U+202C] руб.", 2),
        (f"Договор{TAGS}.", "Договор[hidden U+E0069 U+E0067 U+E006E U+E006F and 6 more].", 10),
        ("а\u200bб", "а[hidden U+200B]б", 1),
        ("а\u200dб", "а[hidden U+200D]б", 1),
        ("\ufeffначало", "[hidden U+FEFF]начало", 1),
        ("a\U000e0100\U000e0101b", "a[hidden U+E0100 U+E0101]b", 2),
        ("\x1b[31mred\x07", "[hidden U+001B][31mred[hidden U+0007]", 2),
        ("а\ufe0fб", "а[hidden U+FE0F]б", 1),
        ("❤\ufe0f\ufe0f", "❤[hidden U+FE0F U+FE0F]", 2),
        (
            "\u2066left\u2069 \u061c \u3164",
            "[hidden U+2066]left[hidden U+2069] [hidden U+061C] [hidden U+3164]",
            4,
        ),
    ],
)
def test_what_is_hidden_is_shown(text: str, shown: str, count: int) -> None:
    assert made_visible(text) == (shown, count)


@pytest.mark.parametrize(
    "text",
    [
        "Договор № 5 — «поставка»…\tцена:\u00a0100\u202f000 ₽\r\n\f",
        "❤\ufe0f 1\ufe0f\u20e3 ©\ufe0f",
        "👩\u200d💻 и 👁\ufe0f\u200d🗨\ufe0f",
        "می\u200cخواهم",
        "क्\u200dष",
        "Ёлка, café, naïve, e\u0301",
    ],
)
def test_what_belongs_to_the_writing_stays(text: str) -> None:
    assert made_visible(text) == (text, 0)


def test_soft_hyphens_are_left_out_and_are_no_secret() -> None:
    assert made_visible("до\u00adго\u00adвор") == ("договор", 0)
    assert made_visible("до\u00ad\u200bговор") == ("до[hidden U+200B]говор", 1)


@given(st.text())
def test_nothing_seen_is_lost_and_nothing_that_turns_text_is_left(text: str) -> None:
    shown, count = made_visible(text)
    assert (shown == text) == (not count and "\u00ad" not in text)
    assert not any(
        unicodedata.bidirectional(char) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI"} for char in shown
    )
    assert not any(0xE0000 <= ord(char) <= 0xE007F for char in shown)


def test_a_long_text_takes_no_longer_than_reading_it() -> None:
    for text in ("Слово и дело. " * 150_000, "\u200b" * 2_000_000, "a\u200b" * 500_000):
        began = time.process_time()
        made_visible(text)
        assert time.process_time() - began < 2
