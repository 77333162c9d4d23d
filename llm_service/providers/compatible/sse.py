"""Server-sent events, as far as answers of models need them (WHATWG HTML, 9.2): the data of each event."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable


async def events(parts: AsyncIterable[bytes]) -> AsyncGenerator[str, None]:
    """The data of each event. A comment, which vendors send to keep a connection open, gives an empty text.

    An event that has no empty line behind it is broken off and not given.
    """
    data: list[str] = []
    async for line in _lines(parts):
        if not line:
            if data:
                yield "\n".join(data)
                data.clear()
        elif line.startswith(":"):
            yield ""
        elif line == "data" or line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


async def _lines(parts: AsyncIterable[bytes]) -> AsyncGenerator[str, None]:
    """Lines that have ended. By bytes: ``str.splitlines`` would split a text at U+2028 too, which JSON holds as it is."""
    begun: list[bytes] = []
    async for part in parts:
        *ended, rest = part.split(b"\n")
        for line in ended:
            yield b"".join((*begun, line)).removesuffix(b"\r").decode("utf-8", "replace")
            begun.clear()
        begun.append(rest)
