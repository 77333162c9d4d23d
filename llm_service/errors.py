"""Every error of the service, in one tree by layer.

A class says its ``code`` (stable, part of the contract), whether sending the same again can help (``retryable``), and,
by its docstring, the sentence shown without a better one. A message is published as it is: it holds no secret, no stack.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class ServiceError(Exception):
    """The service met an error it has no better name for."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or type(self).__name__))

    @property
    def message(self) -> str:
        """What happened, to what, and what to do: one sentence that is safe to show."""
        return str(self.args[0])


class SettingsInvalid(ServiceError):
    """The settings are wrong; the message names each one, what was expected and where it came from."""

    code = "settings_invalid"


class BootstrapFailed(ServiceError):
    """A dependency could not be reached at start."""

    code = "bootstrap_failed"


class DependencyUnavailable(ServiceError):
    """A dependency does not answer; the message names it and says what to do."""

    code = "dependency_unavailable"
    retryable = True


class InvalidMessage(ServiceError):
    """The message is no task: its value can't be read as a JSON object."""

    code = "invalid_message"


class InvalidField(InvalidMessage):
    """A known field of the task has the wrong type."""

    code = "invalid_field"


class IncompleteTask(InvalidMessage):
    """The task has no prompt, or nothing to work on (file, text, data or messages)."""

    code = "incomplete_task"


class InvalidNotification(InvalidMessage):
    """The message is no bucket notification that can be read."""

    code = "invalid_notification"


class IdConflict(ServiceError):
    """Another body came under the id of a task that has already succeeded."""

    code = "id_conflict"


class Poison(ServiceError):
    """Each process that ran this task ended without a word: it is not run again (POISON_MAX_TAKEOVERS)."""

    code = "poison"


class DeadlineExceeded(ServiceError):
    """The task's deadline passed before it had an answer."""

    code = "deadline_exceeded"


class PromptError(ServiceError):
    """The prompt can't be used."""

    code = "prompt_error"


class PromptUnknown(PromptError):
    """The catalogue has no prompt of that id."""

    code = "prompt_unknown"


class PromptCatalogueInvalid(PromptError):
    """The prompt catalogue is wrong; the message names the file, the prompt and the field."""

    code = "prompt_catalogue_invalid"


# --- files ----------------------------------------------------------------------------------------


class FileError(ServiceError):
    """A file of the task can't be used."""

    code = "file_error"


class FilePathRefused(FileError):
    """The storage path is refused: it is absolute, climbs with '..' or holds a NUL."""

    code = "file_path_refused"


class BucketNotAllowed(FileError):
    """The storage path names a bucket this service may not read."""

    code = "bucket_not_allowed"


class FileNotFound(FileError):
    """There is no such object in the bucket."""

    code = "file_not_found"


class FileEmpty(FileError):
    """The object has 0 bytes."""

    code = "file_empty"


class FileTooLarge(FileError):
    """The object is larger than the service takes."""

    code = "file_too_large"


class FileIncomplete(FileError):
    """The object's bytes ended before its length, or went beyond it."""

    code = "file_incomplete"
    retryable = True


class FileAccessDenied(FileError):
    """The object store denies reading this object; its policy or the keys are to be changed."""

    code = "file_access_denied"


class StoreUnavailable(FileError):
    """The object store does not answer."""

    code = "store_unavailable"
    retryable = True


class WorkFolderUnavailable(FileError):
    """The service's work folder can't take the file: it is full, read-only or missing."""

    code = "work_folder_unavailable"
    retryable = True


class ConversionUnavailable(FileError):
    """The process that turns documents into text does not start or does not stay."""

    code = "conversion_unavailable"
    retryable = True


class DocumentUnsupported(FileError):
    """The document's type can't be turned into text."""

    code = "document_unsupported"


class DocumentUnreadable(FileError):
    """The document is encrypted, broken, or not of the type its name says."""

    code = "document_unreadable"


class DocumentTooCostly(FileError):
    """Turning the document into text went beyond its limit of time, memory or output."""

    code = "document_too_costly"


class ResultTooLarge(ServiceError):
    """The result is too large for a message, and there is no object store to put it into."""

    code = "result_too_large"


# --- providers ------------------------------------------------------------------------------------


class ProviderError(ServiceError):
    """The provider could not answer.

    Calls that ``spent`` something, perhaps, count against LLM_MAX_RETRIES; an outage is waited for until the deadline.
    What ``trips`` counts for the circuit breaker.
    """

    code = "provider_error"
    spent: ClassVar[bool] = True
    trips: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds the provider asked us to wait; None when it did not say
        self.quota: object = None  # providers.protocol.Quota, where the refusal told what is left


class ProviderUnknown(ProviderError):
    """No provider of that name is configured."""

    code = "provider_unknown"
    spent = False


class ProviderUnavailable(ProviderError):
    """The provider can't be reached, or says it is not there for now (502, 503, 504)."""

    code = "provider_unavailable"
    retryable = True
    spent = False
    trips = True


class ProviderRateLimited(ProviderError):
    """The provider asks to come later (429)."""

    code = "provider_rate_limited"
    retryable = True
    spent = False


class ProviderAccountError(ProviderError):
    """The provider refuses the account: key wrong or expired, or no money left."""

    code = "provider_account_error"
    retryable = True
    spent = False
    trips = True


class ProviderServerError(ProviderError):
    """The provider failed inside (500)."""

    code = "provider_server_error"
    retryable = True
    trips = True


class ProviderTimeout(ProviderError):
    """The provider was silent for longer than its limit."""

    code = "provider_timeout"
    retryable = True
    trips = True


class ProviderStreamCut(ProviderError):
    """The provider's answer broke off before its end."""

    code = "provider_stream_cut"
    retryable = True
    trips = True


class ProviderAnswerInvalid(ProviderError):
    """The provider's answer does not follow its own protocol."""

    code = "provider_answer_invalid"
    retryable = True
    trips = True


class ModelNotFound(ProviderError):
    """The provider has no model of that name."""

    code = "model_not_found"
    spent = False


class RequestRejected(ProviderError):
    """The provider refuses this request (400, 404, 413, 422)."""

    code = "request_rejected"
    spent = False


class RequestUnsupported(ProviderError):
    """The task asks for something this provider can't do."""

    code = "request_unsupported"
    spent = False


class ContextTooLong(ProviderError):
    """The prompt and its documents are longer than the model's context."""

    code = "context_too_long"
    spent = False


class TaskTooCostly(ProviderError):
    """The task needs more than one task may use here (TASK_MAX_TOKENS, TASK_MAX_COST_USD)."""

    code = "task_too_costly"
    tokens_used: int | None = None


class ContentFiltered(ProviderError):
    """The provider's content filter refused the prompt or the answer."""

    code = "content_filtered"


class AnswerError(ServiceError):
    """The model's answer is not what the task asked for."""

    code = "answer_error"
    tokens_used: int | None = None
    """What the answers cost that were not what was asked for, where the provider said so."""


class AnswerNotJson(AnswerError):
    """JSON was asked for, and the model's answer is not JSON."""

    code = "answer_not_json"


class AnswerSchemaMismatch(AnswerError):
    """The model's answer does not match the schema that was asked for."""

    code = "answer_schema_mismatch"


class AnswerTruncated(AnswerError):
    """The model's answer was cut by the token limit, and a cut answer is no answer to a schema."""

    code = "answer_truncated"


class VerdictFailed(AnswerError):
    """The model answered that the document does not pass; its reason is the message."""

    code = "verdict_failed"


# --- Kafka ----------------------------------------------------------------------------------------


class DeliveryError(ServiceError):
    """An outcome could not be made durable."""

    code = "delivery_error"
    retryable = True


class DeliveryRevoked(DeliveryError):
    """The partition of this task went to another worker; its outcome is dropped here."""

    code = "delivery_revoked"


class PublishFailed(DeliveryError):
    """Kafka did not take a message."""

    code = "publish_failed"


class MessageTooLarge(DeliveryError):
    """The message is larger than its topic takes."""

    code = "message_too_large"
    retryable = False


class TopicNotWritable(DeliveryError):
    """The topic is missing or this service may not write to it."""

    code = "topic_not_writable"


class ConsumerFatal(DeliveryError):
    """The Kafka consumer met an error it can't recover from."""

    code = "consumer_fatal"
