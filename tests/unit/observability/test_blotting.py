"""Secrets in lines, in every form they are written in, and words that only look like one."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from llm_service.observability.blotting import Blotter

LONG = 'c4n"ary\\s3cret/+é=7f'


@pytest.mark.parametrize(
    "line",
    [
        f"plain {LONG} text",
        f"inside-a-word{LONG}word",
        json.dumps({"k": LONG}),
        json.dumps({"k": LONG}, ensure_ascii=False),
        f"https://host/?q={quote(LONG, safe='')}",
        repr({"k": LONG}),
        'k="' + LONG.replace('"', '\\"') + '"',
        LONG.encode("unicode_escape").decode(),
    ],
)
def test_a_long_one_goes_in_whatever_form(line: str) -> None:
    blotted = Blotter([LONG])(line)
    assert "***" in blotted
    assert "s3cret" not in blotted


@pytest.mark.parametrize("secret", ["postgres", "minioadmin", "1234", "abc", "Passw0rd", "s3cr3t!"])
@pytest.mark.parametrize(
    "form",
    [
        "password={}",
        "POSTGRES_PASSWORD: {} refused",
        "{{'secret_key': '{}'}}",
        '{{"api_key": "{}"}}',
        'json {{\\"token\\": \\"{}\\"}}',
        "connect to postgresql://user:{}@host:5432/db",
        "--password {} --host x",
        "the password is {}",
        "Authorization: {}",
    ],
)
def test_a_short_one_goes_where_a_key_stands_before_it(secret: str, form: str) -> None:
    line = form.format(secret)
    blotted = Blotter([secret])(line)
    assert blotted == form.format("***")


@pytest.mark.parametrize("secret", ["Passw0rd", "s3cr3t!", "aB3dE6", "qwerty-12"])
def test_a_short_one_that_is_no_word_goes_as_a_whole_token(secret: str) -> None:
    blot = Blotter([secret])
    assert blot(f"refused: {secret}, sorry ({secret})") == "refused: ***, sorry (***)"
    assert blot(f"x{secret}x") == f"x{secret}x", "inside of another word it may be anything"


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        ("postgres", "connection_down component=postgres reason=gone"),
        ("postgres", "refused by postgres"),
        ("1234", "offset=1234"),
        ("123456", "offset=123456"),
        ("abc", "abcdef"),
        ("", "nothing"),
        ("   ", "a   b"),
    ],
)
def test_words_of_the_log_stay(secret: str, line: str) -> None:
    assert Blotter([secret])(line) == line


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "BEARER"])
def test_what_was_got_at_run_time_goes_by_its_scheme(scheme: str) -> None:
    token = base64.b64encode(b"nobody:knows-this-one").decode()
    assert Blotter([])(f"headers={{'Authorization': '{scheme} {token}'}}") == (
        f"headers={{'Authorization': '{scheme} ***'}}"
    )
    assert Blotter([])("basic settings and a bearer of news") == "basic settings and a bearer of news"


def test_one_secret_inside_another_leaves_no_rest() -> None:
    assert Blotter(["0123456789ab", "0123456789abcdef"])("x0123456789abcdefx") == "x***x"


def test_no_line_makes_it_slow() -> None:
    blot = Blotter(["x", "pw", "s3cr3t!", LONG])
    began = time.perf_counter()
    for line in ("key" * 1400 + "x", "://" * 1400 + "x", "password" + " " * 4000 + "x", "bearer " * 600):
        blot(line)
    assert time.perf_counter() - began < 0.2
