"""``llm-service dlq show``: one letter, whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.letters.advice import advice
from llm_service.cli.letters.opening import largest_message, reading, say
from llm_service.cli.letters.original import OriginalLost, Originals
from llm_service.cli.letters.selection import Selection
from llm_service.cli.letters.shape import contents, header_list, place, summary
from llm_service.cli.printable import json_line, printable, printable_line
from llm_service.container.files import build_store
from llm_service.contract.record import Record
from llm_service.errors import ServiceError
from llm_service.kafka.letters import Letter, LetterReader
from llm_service.settings import Settings

# A screen or two; all of it comes with --raw or --json.
_SHOWN_BYTES = 4_000
_HEADER_BYTES = 500


def show(settings: Settings, selection: Selection, asked: str, *, as_json: bool, raw: bool) -> ExitCode:
    """Print each that is meant; FAILED where there is none, or ``raw`` means no single one.

    Raises DependencyUnavailable, SettingsInvalid.
    """
    with reading(settings) as reader:
        letters = [
            found
            for found in reader.letters(reader.extent())
            if isinstance(found, Letter) and selection.takes(found)
        ]
        if not letters:
            say(
                f"There is no letter {asked} on {settings.kafka.dlq_topic}: llm-service dlq list --all shows them"
            )
            return ExitCode.FAILED
        if raw and len(letters) > 1:
            say(f"There are {len(letters)} letters of {asked}: name one of {', '.join(map(place, letters))}")
            return ExitCode.FAILED
        originals = _originals(settings, reader)
        for letter in letters:
            original = _original(originals, letter, settings)
            if raw:
                return _raw(original)
            if as_json:
                print(json_line(_fields(letter, original)))
            else:
                print("\n".join(_lines(letter, original)))
    return ExitCode.OK


def _originals(settings: Settings, reader: LetterReader) -> Originals:
    return Originals(
        reader, build_store(settings), settings.minio.readable_buckets, largest_message(settings)
    )


def _original(originals: Originals, letter: Letter, settings: Settings) -> Record | None:
    try:
        return originals.of(letter.decoded)
    except OriginalLost as lost:
        say(f"Warning: the original of {place(letter)} can't be had whole: {lost.message}")
    except ServiceError as error:
        say(f"Warning: the original of {place(letter)} can't be had whole now: {error.message}")
    return None


def _raw(original: Record | None) -> ExitCode:
    if original is None:
        return ExitCode.FAILED
    if original.value is None:
        say("Its value is null.")
        return ExitCode.OK
    sys.stdout.buffer.write(original.value)
    sys.stdout.buffer.flush()
    return ExitCode.OK


def _fields(letter: Letter, original: Record | None) -> dict[str, object]:
    decoded = letter.decoded
    shown = original or Record(
        decoded.key, decoded.value if decoded.reference is None else None, decoded.headers
    )
    return {
        **summary(letter),
        **contents("key", shown.key),
        **contents("value", shown.value),
        "headers": header_list(shown.headers),
        "reference": decoded.reference,
        "whole": original is not None,
        "advice": advice(decoded.letter.code),
    }


def _lines(letter: Letter, original: Record | None) -> Iterator[str]:
    told = summary(letter)
    resolved = f"{told['resolved']} at {told['resolved_at']}" if letter.resolution is not None else "no"
    rows = {
        "letter": told["letter"],
        "task": told["task_id"],
        "code": told["code"],
        "reason": told["message"],
        "attempts": told["attempts"],
        "came from": told["from"],
        "given up": told["timestamp"],
        "resolved": resolved,
    }
    yield from (f"{name + ':':<11}{printable_line(str(value))}" for name, value in rows.items())
    decoded = letter.decoded
    shown = original or Record(decoded.key, decoded.value, decoded.headers)
    yield f"{'key:':<11}{_bytes(shown.key, _HEADER_BYTES)}"
    for name, value in shown.headers:
        yield f"{'header:':<11}{printable_line(name)} = {_bytes(value, _HEADER_BYTES)}"
    if decoded.reference is not None:
        yield f"{'lies at:':<11}{printable_line(decoded.reference)}"
    if original is not None or decoded.reference is None:
        yield f"{'value:':<11}{_bytes(shown.value, _SHOWN_BYTES, lines=True)}"
    yield f"{'what to do:':<11} {advice(decoded.letter.code)}"


def _bytes(value: bytes | None, most: int, *, lines: bool = False) -> str:
    """What a terminal takes of it, and how much there is where that is not all."""
    if value is None:
        return "null"
    text = value[:most].decode("utf-8", "backslashreplace")
    text = printable(text) if lines else printable_line(text)
    return text if len(value) <= most else f"{text} … ({len(value):,} bytes; --raw gives all)"
