"""What to do about a letter, by its code."""

from __future__ import annotations

_REPLAY = "llm-service dlq replay --code {code}"
_ADVICE = (
    (
        ("invalid_message", "invalid_field", "incomplete_task"),
        (
            "Its producer wrote it wrong, and as it is it will fail again: correct the producer, have it send the task anew "
            "(any id), and put this one away with: llm-service dlq purge --code {code} --yes"
        ),
    ),
    (
        ("id_conflict",),
        (
            "Its producer used the id of another task that had succeeded: give each task its own id, send it anew, and "
            "put this one away with: llm-service dlq purge --code {code} --yes"
        ),
    ),
    (
        ("poison",),
        (
            "It was being worked on whenever a worker died, and may be why: look at the workers' ends (memory?) and at its "
            f"document before you send it again, alone: {_REPLAY} --limit 1"
        ),
    ),
    (
        ("file_not_found", "file_empty", "file_incomplete", "file_error", "file_path_refused"),
        f"Look whether its object is there and whole, and put it there; then: {_REPLAY}",
    ),
    (
        ("bucket_not_allowed", "file_access_denied"),
        "Let the service read the bucket (MINIO_ALLOWED_BUCKETS, and the rights of MINIO_ACCESS_KEY); then: "
        + _REPLAY,
    ),
    (
        ("file_too_large", "document_too_costly", "result_too_large", "context_too_long"),
        (
            "It is larger than the limits of docs/settings.md, of the topics or of the model: raise the one that the reason "
            f"names, or have it sent smaller; then: {_REPLAY}"
        ),
    ),
    (
        ("document_unsupported", "document_unreadable"),
        "Open its document: a damaged or locked one must be sent anew. After a fix of the conversion: "
        + _REPLAY,
    ),
    (
        ("prompt_error", "prompt_unknown", "prompt_catalogue_invalid"),
        "Look at the catalogue (llm-service prompts), correct it and restart the workers or send them SIGHUP; then: "
        + _REPLAY,
    ),
    (
        ("provider_unknown", "model_not_found", "request_unsupported", "request_rejected"),
        "It asks for a provider, a model or an option that is not there: set it up, or have the task changed; then: "
        + _REPLAY,
    ),
    (
        ("answer_not_json", "answer_schema_mismatch", "answer_truncated", "answer_error", "content_filtered"),
        (
            f"The model's answer did not hold. Another run may: {_REPLAY} --limit 5; if not, change prompt, schema or "
            "model first"
        ),
    ),
    (
        ("deadline_exceeded",),
        "It came too late, and its deadline is still in it: have it sent anew with a later one",
    ),
    (
        ("internal_error",),
        "A bug of the service: the worker's log has its traceback (task_crashed). After an update: "
        + _REPLAY,
    ),
)
_ELSE = f"When its cause is mended: {_REPLAY}"


def advice(code: str) -> str:
    """One sentence or two, with the command."""
    for codes, text in _ADVICE:
        if code in codes:
            return text.format(code=code)
    return _ELSE.format(code=code)


def named_codes() -> frozenset[str]:
    """All that something of their own is said about."""
    return frozenset(code for codes, _ in _ADVICE for code in codes)
