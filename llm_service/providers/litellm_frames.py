"""What crosses between the service and LiteLLM's process, on one stream socket: a length in four bytes, and that much JSON.

To it: ``setup`` first (with the key, which so is in no command line), then ``chat``, ``embed`` and ``cancel``, each with an
``id``. From it: ``hello``, ``beat``, and of an id any number of ``piece``, then ``end``, ``vectors`` or ``error``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from struct import Struct
from typing import Any

LENGTH = Struct(">I")
MAX_BYTES = 128 * 1024 * 1024
"""Ten pictures of the largest size in Base64 and their request; the answers' own limits are lower."""

BEAT_S = 1.0
"""Between two beats of the process, by which it is known to be alive."""


class FrameError(ValueError):
    """What came is no frame of this protocol."""


def pack(frame: Mapping[str, object]) -> bytes:
    body = json.dumps(frame).encode()
    return LENGTH.pack(len(body)) + body


async def read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next frame. Raises FrameError, and IncompleteReadError at the end."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if length > MAX_BYTES:
        raise FrameError(f"a frame of {length} bytes")
    try:
        frame = json.loads(await reader.readexactly(length))
    except ValueError:
        raise FrameError("a frame that is no JSON") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("kind"), str):
        raise FrameError("a frame without a kind")
    return frame
