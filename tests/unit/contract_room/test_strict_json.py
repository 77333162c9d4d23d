"""What JSON is taken and what is refused, byte by byte."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.contract.strict_json import MAX_DEPTH, dumps, loads
from llm_service.errors import InvalidMessage

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1,}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e400]", "1.8e308"),
        (b"[" + b"9" * 5_000 + b"]", "digits"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        ('{"a": "Привет"}'.encode("cp1251"), "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\uDC00": 1}', "surrogate"),
        (b'{"a": "\x01"}', "not JSON"),
        (b"[" * 10_000, "nested deeper"),
        (b"[" * 10_000 + b"]" * 10_000, "nested deeper"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_what_is_refused_says_why_in_one_bounded_sentence(raw: bytes, words: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        loads(raw)
    assert words in caught.value.message
    assert len(caught.value.message) < 200
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b' \r\n\t{"a": 1}\n', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a": "\\\\ud800"}', {"a": "\\ud800"}),
        ('{"a": "Ошибка"}'.encode(), {"a": "Ошибка"}),
        (b'"' + b"[{" * 1_000 + b'"', "[{" * 1_000),
        (b"[1e308, -0.0]", [1e308, -0.0]),
    ],
)
def test_what_is_taken(raw: bytes, value: object) -> None:
    assert loads(raw) == value


def test_a_hundred_levels_are_taken_beside_many_brackets() -> None:
    raw = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert loads(b"[" + b"[]," * 200 + raw[1:-1] + b"]")


def test_an_error_quotes_nothing_of_the_content() -> None:
    with pytest.raises(InvalidMessage) as caught:
        loads(b'{"prompt": "top-secret" "x"}')
    assert "top-secret" not in caught.value.message


def test_a_megabyte_of_brackets_takes_no_time() -> None:
    before = time.perf_counter()
    for raw in (b"[" * 1_000_000, b"[[]" + b",[]" * 300_000 + b"]", b'{"":' * 250_000):
        try:
            loads(raw)
        except InvalidMessage:
            continue
    assert time.perf_counter() - before < 10


def test_written_json_is_compact_and_readable() -> None:
    assert (
        dumps({"Статус": "Успешно", "n": [1, 2.5, None]}) == '{"Статус":"Успешно","n":[1,2.5,null]}'.encode()
    )


def test_half_a_surrogate_from_a_model_is_written_as_a_question_mark() -> None:
    assert dumps({"a": "x\ud800y"}) == b'{"a":"x?y"}'


@settings(deadline=None)
@given(JSON)
def test_what_is_written_is_read_back(value: object) -> None:
    assert loads(dumps(value)) == value


@settings(deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()[:-1]))
def test_nothing_but_invalid_message_is_raised(raw: bytes) -> None:
    try:
        value = loads(raw)
    except InvalidMessage:
        return
    assert json.loads(dumps(value).decode()) == value
    assert not (isinstance(value, float) and not math.isfinite(value))
