"""GigaChat's file storage: what it takes, keeps and deletes."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass

from tests.standins.refused import Refused

OFFICE = "application/vnd.openxmlformats-officedocument"
TEXTS = {
    "text/plain",
    "application/msword",
    f"{OFFICE}.wordprocessingml.document",
    "application/pdf",
    "application/epub",
    "application/ppt",
    "application/pptx",
    "application/vnd.ms-excel",
}
PICTURES = {"image/jpeg", "image/png", "image/tiff", "image/bmp"}
TEXT_LIMIT, PICTURE_LIMIT = 40_000_000, 15_000_000
HEAD = 200_000
"""Bytes of a file in which markers and directives are looked for."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came."""

    name: str
    content_type: str
    purpose: str
    size: int
    head: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A file with its id."""

    upload: Upload
    created_at: int


class Storage:
    """Files by id."""

    def __init__(self) -> None:
        self._files: dict[str, Stored] = {}
        self.total = 0
        self.age_s = 0.0
        """So much earlier than now is a file said to have come."""

    def keep(self, upload: Upload | None) -> object:
        if upload is None or upload.purpose != "general":
            raise Refused(400, "file and purpose are required")
        limit = PICTURE_LIMIT if upload.content_type in PICTURES else TEXT_LIMIT
        if upload.content_type not in TEXTS | PICTURES:
            raise Refused(400, f"Unsupported file type {upload.content_type}")
        if upload.size > limit:
            raise Refused(413, "File is too large")
        if not upload.size:
            raise Refused(400, "File is empty")
        file_id = str(uuid.uuid4())
        self._files[file_id] = Stored(upload, int(time.time() - self.age_s))
        self.total += 1
        return self._shown(file_id)

    def head(self, file_id: str) -> str:
        stored = self._files.get(file_id)
        return stored.upload.head if stored else ""

    def size(self, file_id: str) -> int:
        """Bytes of a text; a picture has none."""
        stored = self._files.get(file_id)
        return 0 if stored is None or stored.upload.content_type in PICTURES else stored.upload.size

    def check(self, file_ids: list[str]) -> None:
        """Whether a message may refer to these."""
        if any(file_id not in self._files for file_id in file_ids):
            raise Refused(422, "no such file")
        pictures = [one for one in file_ids if self._files[one].upload.content_type in PICTURES]
        if len(pictures) > 1:
            raise Refused(422, "one picture in a message")

    def delete(self, file_id: str) -> object:
        if self._files.pop(file_id, None) is None:
            raise Refused(404, "No such file")
        return {"id": file_id, "deleted": True}

    def names(self) -> list[str]:
        return [stored.upload.name for stored in self._files.values()]

    def listing(self) -> list[object]:
        return [self._shown(file_id) for file_id in self._files]

    def _shown(self, file_id: str) -> object:
        stored = self._files[file_id]
        return {
            "id": file_id,
            "object": "file",
            "bytes": stored.upload.size,
            "created_at": stored.created_at,
            "filename": stored.upload.name,
            "purpose": stored.upload.purpose,
            "access_policy": "private",
        }


def read_upload(content_type: str, body: bytes) -> Upload | None:
    """The file of a multipart form; None when there is none."""
    boundary = re.search(r"boundary=([^;]+)", content_type)
    if boundary is None:
        return None
    fields: dict[str, tuple[str, bytes]] = {}
    for part in body.split(b"--" + boundary.group(1).strip('"').encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name:
            fields[name.group(1).decode()] = (head.decode("utf-8", "replace"), content.removesuffix(b"\r\n"))
    if "file" not in fields:
        return None
    head_text, content = fields["file"]
    kind = re.search(r"(?i)content-type:\s*([^\r\n;]+)", head_text)
    name_found = re.search(r'filename="([^"]*)"', head_text)
    return Upload(
        name=name_found.group(1) if name_found else "",
        content_type=kind.group(1).strip() if kind else "",
        purpose=fields.get("purpose", ("", b""))[1].decode("utf-8", "replace"),
        size=len(content),
        head=content[:HEAD].decode("utf-8", "replace"),
    )
