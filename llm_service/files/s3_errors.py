"""What an S3 server or the way to it says, in the words of our error tree."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError

from llm_service.errors import (
    FileAccessDenied,
    FileError,
    FileIncomplete,
    FileNotFound,
    FilePathRefused,
    StoreUnavailable,
)

_MISSING_BUCKET = "NoSuchBucket"
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", _MISSING_BUCKET})
_REFUSED = frozenset({"InvalidObjectName", "XMinioInvalidObjectName", "KeyTooLongError", "InvalidBucketName"})
_DENIED = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_LATER = frozenset(
    {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "SlowDownRead", "SlowDownWrite"}
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_UNFIT_NAME = ": a bucket's name has 3 to 63 small letters, digits, dots and hyphens; check MINIO_BUCKET_NAME"
_SHOWN_BODY_CHARS = 100


@contextmanager
def translated(endpoint: str, bucket: str, key: str | None) -> Iterator[None]:
    """Raise FileErrors for everything the SDK and urllib3 raise inside."""
    what = f"bucket {bucket!r}" if key is None else f"object {key!r} in bucket {bucket!r}"
    try:
        yield
    except S3Error as error:
        raise _of_code(_code(error), error.response.status, what, bucket, endpoint) from error
    except ServerError as error:
        raise _of_status(error.status_code, endpoint) from error
    except InvalidResponseError as error:
        raise StoreUnavailable(
            f"{endpoint} does not answer as S3 does ({str(error)[:_SHOWN_BODY_CHARS]}); check MINIO_ENDPOINT"
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise StoreUnavailable(
            f"the object store at {endpoint} does not answer ({_cause(error)}); {_remedy(error)}"
        ) from error
    except ValueError as error:
        # The SDK's checks of bucket and object names, made before any request.
        raise FilePathRefused(f"{what} can't be asked for: {error}") from error


def _code(error: S3Error) -> str:
    """The S3 code. An answer to HEAD has no body, so the SDK guesses; MinIO says it in a header."""
    return error.response.headers.get("x-minio-error-code") or error.code or ""


def _of_code(code: str, status: int, what: str, bucket: str, endpoint: str) -> FileError:
    if code == _MISSING_BUCKET:
        return FileNotFound(
            f"there is no bucket {bucket!r} at {endpoint}; create it or set MINIO_BUCKET_NAME"
        )
    if code in _MISSING:
        return FileNotFound(f"there is no {what}")
    if code in _DENIED:
        return FileAccessDenied(
            f"the object store at {endpoint} denies access to {what} ({code}); "
            "check the keys and the bucket's policy"
        )
    if code == "PreconditionFailed":
        return FileIncomplete(f"{what} was replaced while it was being read; it is read again")
    if code in _LATER or status >= 500 or status == 429:
        return StoreUnavailable(f"the object store at {endpoint} asks to come later ({code or status})")
    # To HEAD a server can say 400 and no more, so the name itself is looked at.
    unfit = _UNFIT_NAME if status == 400 and not _BUCKET.fullmatch(bucket) else ""
    kind = FilePathRefused if code in _REFUSED or unfit else FileError
    return kind(f"the object store at {endpoint} answered {code or status} for {what}{unfit}")


def _of_status(status: int, endpoint: str) -> FileError:
    if status == 403:
        return FileAccessDenied(
            f"the object store at {endpoint} denies access; check the keys and the bucket's policy"
        )
    return StoreUnavailable(f"the object store at {endpoint} failed with HTTP {status}")


def _innermost(error: BaseException) -> BaseException:
    """urllib3 wraps, and its texts hold addresses of objects in memory."""
    wrapped = (getattr(error, "reason", None), error.__cause__, *error.args)
    inner = next((each for each in wrapped if isinstance(each, BaseException)), None)
    return error if inner is None else _innermost(inner)


_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its name is not known here"),
    (ConnectionRefusedError, "nothing listens there"),
    (HTTPException, "what listens there speaks no HTTP"),
    (TimeoutError, "silent until the time was up"),
    (urllib3.exceptions.TimeoutError, "silent until the time was up"),
)


def _cause(error: BaseException) -> str:
    """The innermost reason, as a person would say it where it is one of the common ones."""
    inner = _innermost(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {getattr(inner, 'verify_message', inner)}"
    if isinstance(inner, ssl.SSLError):
        return f"TLS: {(inner.reason or type(inner).__name__).replace('_', ' ').lower()}"
    return next((words for kind, words in _CAUSES if isinstance(inner, kind)), type(inner).__name__)


def _remedy(error: BaseException) -> str:
    match _innermost(error):
        case ssl.SSLCertVerificationError():
            return "name the certificates it is verified by in MINIO_CA_BUNDLE"
        case ssl.SSLError():
            return "set MINIO_USE_SSL=False where it speaks no TLS, or check MINIO_ENDPOINT"
        case _:
            return "check MINIO_ENDPOINT and that it runs"
