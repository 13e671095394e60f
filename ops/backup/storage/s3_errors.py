"""Errors of boto3 and of S3 services in the terms of our tree. Neither credentials nor signed URLs are shown."""

from __future__ import annotations

import re
from typing import Final

from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    NotPermitted,
    OpsError,
    StepFailed,
)

_LONGEST: Final = 300
_CREDENTIALS: Final = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_BUCKET: Final = "check backup.destination in ops.toml, or make the bucket"
_LOCK: Final = "make a bucket with Object Lock, or take s3_lock out of [backup]"
_REGION: Final = "set backup.s3_region to the region of the bucket"
_KEY: Final = "check backup.s3_kms_key, and that these credentials may use it"
_ENDPOINT: Final = "check backup.s3_endpoint, and the network of this machine"
_GRANT: Final = (
    "grant s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, "
    "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload to these credentials"
)
# Code of the service: class and hint. Source: Amazon S3 API reference, "Error responses".
_CODES: Final[dict[str, tuple[type[OpsError], str]]] = {
    "301": (ConfigurationError, _REGION),
    "403": (NotPermitted, _GRANT),
    "404": (ConfigurationError, "inv backup.list"),
    "412": (StepFailed, "it was replaced while it was read: start again"),
    "AccessDenied": (NotPermitted, _GRANT),
    "AuthorizationHeaderMalformed": (ConfigurationError, _REGION),
    "ExpiredToken": (NotPermitted, "renew the credentials: aws sso login, or another session"),
    "IllegalLocationConstraintException": (ConfigurationError, _REGION),
    "InvalidAccessKeyId": (NotPermitted, _CREDENTIALS),
    "InvalidBucketName": (ConfigurationError, _BUCKET),
    "InvalidToken": (NotPermitted, _CREDENTIALS),
    "KMS.DisabledException": (ConfigurationError, _KEY),
    "KMS.NotFoundException": (ConfigurationError, _KEY),
    "NoSuchBucket": (ConfigurationError, _BUCKET),
    "NoSuchKey": (ConfigurationError, "inv backup.list"),
    "NoSuchUpload": (StepFailed, "does another machine back up the same environment? Try again"),
    "NotImplemented": (ConfigurationError, "this service lacks it: change [backup]"),
    "ObjectLockConfigurationNotFoundError": (ConfigurationError, _LOCK),
    "PermanentRedirect": (ConfigurationError, _REGION),
    "PreconditionFailed": (StepFailed, "it was replaced while it was read: start again"),
    "RequestTimeTooSkewed": (ConfigurationError, "set the clock of this machine"),
    "SignatureDoesNotMatch": (NotPermitted, _CREDENTIALS),
}
# What a moment later may be over. Source: botocore, retries/standard.py.
_PASSING_CODES: Final = frozenset(
    {
        "BadDigest",
        "BandwidthLimitExceeded",
        "InternalError",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)
_PASSING_STATUS: Final = frozenset({429, 500, 502, 503, 504})


def foreign() -> tuple[type[Exception], ...]:
    """Return what boto3 raises."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return (BotoCoreError, ClientError, ResponseParserError)


def passes(error: BaseException) -> bool:
    """Say whether the same call may succeed a moment later: throttling, 5xx, a lost connection."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return code(error) in _PASSING_CODES or _status(error) in _PASSING_STATUS
    return isinstance(
        error,
        (
            exceptions.ConnectionClosedError,
            exceptions.ConnectTimeoutError,
            exceptions.EndpointConnectionError,
            exceptions.IncompleteReadError,
            exceptions.ReadTimeoutError,
            exceptions.ResponseStreamingError,
        ),
    )


def code(error: BaseException | None) -> str:
    """Return the service's code of an error, empty when it is not one of the service."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def explained(doing: str, error: Exception) -> OpsError:
    """Return the error of our tree.

    Args:
        doing: What failed: "cannot read s3://bucket/shop/production".
        error: What boto3 raised.
    """
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _of_service(doing, error)
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return ConfigurationError(doing, why="there are no credentials", hint=_CREDENTIALS)
    if isinstance(error, exceptions.CredentialRetrievalError):
        return NotPermitted(doing, why="the credentials cannot be renewed", hint=_CREDENTIALS)
    if isinstance(error, (exceptions.ProfileNotFound, exceptions.ConfigParseError)):
        return ConfigurationError(doing, why=_short(error), hint="check AWS_PROFILE and ~/.aws")
    if passes(error) or isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError)):
        return ConnectionFailed(doing, why=_short(error), hint=_ENDPOINT)
    if isinstance(error, exceptions.ParamValidationError):
        return ConfigurationError(doing, why=_short(error), hint=_BUCKET)
    return ConfigurationError(doing, why=_short(error), hint=_ENDPOINT)


def _of_service(doing: str, error: Exception) -> OpsError:
    found = code(error)
    message = str(getattr(error, "response", {}).get("Error", {}).get("Message", ""))
    why = f"{found}: {message}"[:_LONGEST].partition("\n")[0]
    if passes(error):
        hint = "the service is overloaded or broken: try again later"
        return ConnectionFailed(doing, why=why, hint=hint)
    kind, hint = _CODES.get(found, (StepFailed, "look at the settings s3_* of [backup]"))
    return kind(doing, why=why, hint=hint)


def _status(error: Exception) -> int:
    metadata = getattr(error, "response", {}).get("ResponseMetadata", {})
    return int(metadata.get("HTTPStatusCode", 0))


def _short(error: Exception) -> str:
    """Return a message in one line without what in a URL may be a password or a signature."""
    line = " ".join(str(error).split())
    return re.sub(r"//[^/\s]*@", "//", re.sub(r"\?[^\s\"']*", "", line))[:_LONGEST].strip()
