"""What of the S3 store needs no service: sizes of parts, errors in our terms, and no change in a dry run."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore import exceptions
from botocore.session import get_session

from ops.backup.storage import s3_client, s3_errors
from ops.backup.storage.s3 import S3Store
from ops.backup.storage.s3_client import Caller
from ops.backup.storage.s3_upload import FIRST_PART, part_size
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    EffectRefused,
    NotPermitted,
    OpsError,
    StepFailed,
)
from tests.support import runs
from tests.support.s3 import CREDENTIALS

SECRET = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    project = runs.project(tmp_path)
    with (project / "ops.toml").open("a") as file:
        file.write('[backup]\ns3_endpoint = "http://127.0.0.1:9"\ns3_region = "us-east-1"\n')
    return runs.context(project)


def service_error(code: str, message: str = "no", status: int = 400) -> exceptions.ClientError:
    return exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "PutObject",
    )


def test_parts_hold_the_largest_object_within_the_limits_of_s3() -> None:
    sizes = [part_size(number) for number in range(1, 10_001)]
    assert sum(sizes) >= 5 * 1024**4
    assert max(sizes) <= 5 * 1024**3
    assert sizes[0] == FIRST_PART >= 5 * 1024**2
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (service_error("NoSuchBucket"), ConfigurationError, "make the bucket"),
        (service_error("InvalidAccessKeyId"), NotPermitted, "AWS_ACCESS_KEY_ID"),
        (service_error("SignatureDoesNotMatch"), NotPermitted, "AWS_SECRET_ACCESS_KEY"),
        (service_error("ExpiredToken"), NotPermitted, "renew"),
        (service_error("AccessDenied"), NotPermitted, "s3:PutObject"),
        (service_error("403", status=403), NotPermitted, "s3:GetObject"),
        (service_error("PermanentRedirect"), ConfigurationError, "s3_region"),
        (service_error("NoSuchKey"), ConfigurationError, "inv backup.list"),
        (service_error("PreconditionFailed"), StepFailed, "replaced"),
        (service_error("ObjectLockConfigurationNotFoundError"), ConfigurationError, "s3_lock"),
        (service_error("SlowDown", status=503), ConnectionFailed, "later"),
        (service_error("500", status=500), ConnectionFailed, "later"),
        (service_error("Strange"), StepFailed, "[backup]"),
        (exceptions.NoCredentialsError(), ConfigurationError, "AWS_PROFILE"),
        (exceptions.ProfileNotFound(profile="x"), ConfigurationError, "AWS_PROFILE"),
        (exceptions.EndpointConnectionError(endpoint_url="http://a"), ConnectionFailed, "s3_endp"),
        (exceptions.ReadTimeoutError(endpoint_url="http://a"), ConnectionFailed, "s3_endpoint"),
        (
            exceptions.SSLError(endpoint_url="https://a", error=OSError("x")),
            ConnectionFailed,
            "s3_endp",
        ),
        (
            exceptions.ParamValidationError(report="Invalid bucket name"),
            ConfigurationError,
            "desti",
        ),
    ],
)
def test_every_error_has_its_class_and_says_what_to_do(
    error: Exception, expected: type[OpsError], words: str
) -> None:
    found = s3_errors.explained("cannot read s3://a/b", error)
    assert type(found) is expected
    assert found.what == "cannot read s3://a/b"
    assert words in found.hint
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (service_error("SlowDown", status=503), True),
        (service_error("InternalError", status=500), True),
        (service_error("RequestTimeout"), True),
        (exceptions.ConnectionClosedError(endpoint_url="http://a"), True),
        (exceptions.ReadTimeoutError(endpoint_url="http://a"), True),
        (service_error("AccessDenied", status=403), False),
        (service_error("NoSuchBucket", status=404), False),
        (exceptions.NoCredentialsError(), False),
        (exceptions.SSLError(endpoint_url="https://a", error=OSError("x")), False),
        (ZeroDivisionError(), False),
    ],
)
def test_only_errors_that_pass_are_tried_again(error: Exception, again: bool) -> None:
    assert s3_errors.passes(error) is again


def test_a_message_shows_neither_password_nor_signature() -> None:
    url = f"https://user:{SECRET}@host/b/k?X-Amz-Signature={SECRET}&a=b"
    error = exceptions.EndpointConnectionError(endpoint_url=url)
    found = s3_errors.explained("cannot read s3://a/b", error)
    assert SECRET not in str(found)
    assert "host/b/k" in str(found)


def test_an_endpoint_that_is_none_is_named(tmp_path: Path) -> None:
    project = runs.project(tmp_path)
    with (project / "ops.toml").open("a") as file:
        file.write('[backup]\ns3_endpoint = "nowhere"\n')
    with pytest.raises(ConfigurationError, match="s3_endpoint"):
        S3Store(runs.context(project), "bucket", "p").check()


def test_a_destination_without_a_bucket_is_named(context: Context) -> None:
    with pytest.raises(ConfigurationError, match="names no bucket"):
        S3Store(context, "", "p")


def test_nothing_listens(context: Context) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        S3Store(context, "bucket", "p").check()
    assert caught.value.what == "cannot use s3://bucket/p"
    assert "http://127.0.0.1:9" in caught.value.why


@pytest.mark.parametrize("mode", [guard.Mode.DRY_RUN, guard.Mode.READ])
@pytest.mark.parametrize("change", ["writer", "put"])
def test_a_change_is_refused_before_anything_leaves(
    context: Context, mode: guard.Mode, change: str
) -> None:
    store = S3Store(context, "bucket", "p")
    with guard.scope(mode), pytest.raises(EffectRefused):
        if change == "put":
            store.put("a", b"x")
        else:
            with store.writer("a"):
                pass


def test_a_call_that_forgets_the_guard_is_refused_by_the_client(context: Context) -> None:
    call = Caller(context, "s3://bucket/p")
    with guard.scope(guard.Mode.DRY_RUN), pytest.raises(EffectRefused, match="DeleteBucket"):
        call("forget the guard for", lambda s3: s3.delete_bucket(Bucket="bucket"))


def test_the_list_of_reads_names_operations_that_only_read() -> None:
    model = get_session().get_service_model("s3")
    for name in s3_client.READS:
        assert model.operation_model(name).http["method"] in ("GET", "HEAD")
