"""A request in GigaChat's words: which documents go as files, and how messages refer to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gigachat.models.chat import Chat, Messages, MessagesRole

from llm_service.errors import RequestUnsupported
from llm_service.providers.ability import refuse_unable
from llm_service.providers.inline import inline_documents, schema_in_words
from llm_service.providers.protocol import Capabilities, CompletionRequest, Document, Message
from llm_service.providers.transport import sendable

OFFICE = "application/vnd.openxmlformats-officedocument"

UPLOAD_TYPES = {
    "text/plain": "text/plain",
    "application/msword": "application/msword",
    f"{OFFICE}.wordprocessingml.document": f"{OFFICE}.wordprocessingml.document",
    "application/pdf": "application/pdf",
    "application/epub+zip": "application/epub",
    "application/vnd.ms-powerpoint": "application/ppt",
    f"{OFFICE}.presentationml.presentation": "application/pptx",
    f"{OFFICE}.spreadsheetml.sheet": "application/vnd.ms-excel",
}
"""The registered content type and the one GigaChat wants instead (developers.sber.ru, working with files)."""

PICTURE_TYPES = {kind: kind for kind in ("image/jpeg", "image/png", "image/tiff", "image/bmp")}

UPLOAD_LIMIT = 40_000_000
PICTURE_LIMIT = 15_000_000
PICTURES_LIMIT = 80_000_000
"""Bytes: of a text document, of a picture, of all pictures of a request. The vendor says MB; the smaller reading."""

PICTURES = 10
"""In one request; in one message only one."""

CAPABILITIES = Capabilities(
    upload_types=frozenset(UPLOAD_TYPES),
    picture_types=frozenset(PICTURE_TYPES),
    upload_limit_bytes=UPLOAD_LIMIT,
    picture_limit_bytes=PICTURE_LIMIT,
    streaming=True,
    embeddings=True,
    token_counting=True,
)
"""Its own mode for schemas is in beta and left alone."""

ACTING = "storage"
"""GigaChat's own parameter by which a model keeps what it was told; ``ability`` knows the tools of all vendors."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A document the vendor has stored."""

    file_id: str
    document: Document

    @property
    def is_picture(self) -> bool:
        return self.document.content_type in PICTURE_TYPES


def vendor_type(document: Document) -> str | None:
    """The content type to upload a document with; None when it goes as text."""
    if document.path is None:
        return None
    return UPLOAD_TYPES.get(document.content_type) or PICTURE_TYPES.get(document.content_type)


def uploads_of(request: CompletionRequest) -> tuple[Document, ...]:
    """Documents that go as files. Raises RequestUnsupported for what GigaChat takes in no form."""
    refuse_unable("gigachat", CAPABILITIES, request)
    if ACTING in request.parameters.extra:
        raise RequestUnsupported(f"No tools are offered to a model here: leave out {ACTING}.")
    uploads = tuple(document for document in request.documents if vendor_type(document))
    pictures = [document.size for document in uploads if document.content_type in PICTURE_TYPES]
    if len(pictures) > PICTURES or sum(pictures) > PICTURES_LIMIT:
        raise RequestUnsupported(
            f"GigaChat takes {PICTURES} pictures and {PICTURES_LIMIT // 1_000_000} MB of them in a request; "
            f"here are {len(pictures)} with {sum(pictures) / 1e6:.1f} MB."
        )
    return uploads


def chat_of(request: CompletionRequest, model: str, attachments: Sequence[Attachment]) -> Chat:
    """The vendor's request. The system message comes first and is one, or the vendor refuses it by 422."""
    texts = tuple(document for document in request.documents if not vendor_type(document))
    messages = _with_schema(inline_documents(replace(request, documents=texts)), request)
    parameters = request.parameters
    return Chat(
        model=model,
        messages=_system(messages) + _turns(messages, attachments),
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_tokens=parameters.max_tokens,
        additional_fields=dict(parameters.extra) or None,
    )


def _with_schema(messages: Sequence[Message], request: CompletionRequest) -> tuple[Message, ...]:
    """GigaChat's own mode for schemas is in beta: the schema goes into words, at the end of the last question."""
    if request.response_schema is None:
        return tuple(messages)
    words = schema_in_words(request.response_schema)
    if not messages or messages[-1].role != "user":
        return (*messages, Message("user", words))
    question = messages[-1].content
    return (*messages[:-1], Message("user", f"{question}\n\n{words}" if question else words))


def _system(messages: Sequence[Message]) -> list[Messages]:
    texts = [message.content for message in messages if message.role == "system"]
    return [Messages(role=MessagesRole.SYSTEM, content=sendable("\n\n".join(texts)))] if texts else []


def _turns(messages: Sequence[Message], attachments: Sequence[Attachment]) -> list[Messages]:
    """Files go with the last message; of the pictures one does, and each other one has a message before it."""
    turns = [
        Messages(role=MessagesRole(message.role), content=sendable(message.content))
        for message in messages
        if message.role != "system"
    ]
    if not attachments:
        return turns
    files = [attachment.file_id for attachment in attachments if not attachment.is_picture]
    pictures = [attachment for attachment in attachments if attachment.is_picture]
    early = [
        Messages(
            role=MessagesRole.USER, content=sendable(picture.document.name), attachments=[picture.file_id]
        )
        for picture in pictures[:-1]
    ]
    last = turns.pop() if turns else Messages(role=MessagesRole.USER, content="")
    last.attachments = files + [picture.file_id for picture in pictures[-1:]]
    return [*turns, *early, last]
