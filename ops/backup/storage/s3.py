"""Archives in a bucket of Amazon S3, or of a service with the same interface."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ops.backup.storage import Entry
from ops.backup.storage.s3_client import Caller
from ops.backup.storage.s3_download import Download
from ops.backup.storage.s3_errors import code
from ops.backup.storage.s3_upload import Upload
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, NotPermitted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Store:
    """Archives of one environment below a prefix of a bucket.

    Args:
        context: Gives the settings of the service and the deadline.
        bucket: Name of the bucket.
        prefix: Of the environment's objects, without a slash at its end.

    Raises:
        ConfigurationError: The bucket's name is empty.
    """

    def __init__(self, context: Context, bucket: str, prefix: str) -> None:
        if not bucket:
            raise ConfigurationError(
                "backup.destination names no bucket", hint='destination = "s3://bucket/prefix"'
            )
        self._bucket = bucket
        self._prefix = f"{prefix}/"
        self._settings = context.settings.backup
        self._call = Caller(context, self.where)

    @property
    def where(self) -> str:
        """The prefix as a URL."""
        return f"s3://{self._bucket}/{self._prefix.rstrip('/')}"

    def check(self) -> None:
        """Find out that the bucket cannot be used; changes nothing.

        Whether it may be written shows when an upload is started, before the dump is.

        Raises:
            ConfigurationError: No credentials, no such bucket, or no Object Lock although it is asked for.
            ConnectionFailed: The service does not answer.
            NotPermitted: It refuses the credentials, or to list the bucket.
        """
        self._call(
            "use",
            lambda s3: s3.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1),
        )
        if self._settings.s3_lock:
            self._call(
                "lock objects of",
                lambda s3: s3.get_object_lock_configuration(Bucket=self._bucket),
            )

    @contextlib.contextmanager
    def writer(self, name: str) -> Iterator[Upload]:
        """Write a new object; see `Store`."""
        options = {**self._encryption(), **self._lock()}
        upload = Upload(self._call, self._bucket, self._prefix + name, options)
        try:
            yield upload
            upload.complete()
        except BaseException:
            upload.abort()
            raise

    def put(self, name: str, data: bytes) -> None:
        """Write or replace a small object; it gets no lock, because a manifest takes later proofs."""
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self._call.change(
            f"write {name} to",
            lambda s3: s3.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=data,
                ChecksumSHA256=checksum,
                **self._encryption(),
            ),
        )

    def get(self, name: str) -> bytes:
        """Return a small object."""

        def act(s3: S3Client) -> bytes:
            found = s3.get_object(Bucket=self._bucket, Key=self._prefix + name)
            with contextlib.closing(found["Body"]) as body:
                return body.read()

        return self._call(f"read {name} of", act)

    @contextlib.contextmanager
    def reader(self, name: str) -> Iterator[Download]:
        """Read an object of any size."""
        with contextlib.closing(Download(self._call, self._bucket, self._prefix + name)) as opened:
            yield opened

    def entries(self) -> Sequence[Entry]:
        """Return all complete objects, by name; an unfinished upload is none."""

        def act(s3: S3Client) -> list[Entry]:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
            )
            found = [each for page in pages for each in page.get("Contents", ())]
            return [Entry(each["Key"][len(self._prefix) :], each["Size"]) for each in found]

        listed = self._call("list", act)
        return sorted((each for each in listed if each.name), key=lambda each: each.name)

    def delete(self, name: str) -> None:
        """Delete an object; one that is gone is no error.

        With `s3_lock` all its versions: the bucket has versions then, and a plain delete would only hide the object.
        Elsewhere the bucket's own rules decide about older versions.

        Raises:
            NotPermitted: Object Lock holds it, or the credentials lack s3:DeleteObject.
        """
        self._refuse_locked(name)
        if self._settings.s3_lock:
            for version in self._versions(name):
                self._delete(name, {"VersionId": version})
        else:
            self._delete(name, {})

    def sweep(self) -> int:
        """Abort the uploads that killed runs left behind, return how many.

        The caller holds the environment's lock, so nobody of this machine writes one. An upload of another machine
        would fail with a message, never end as half an archive.
        """

        def act(s3: S3Client) -> list[dict[str, str]]:
            pages = s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            found = [each for page in pages for each in page.get("Uploads", ())]
            return [{"Key": each["Key"], "UploadId": each["UploadId"]} for each in found]

        left = self._call("list uploads to", act)
        for upload in left:
            self._abort(upload)
        return len(left)

    def _delete(self, name: str, version: dict[str, Any]) -> None:
        self._call.change(
            f"delete {name} of",
            lambda s3: s3.delete_object(Bucket=self._bucket, Key=self._prefix + name, **version),
        )

    def _abort(self, upload: dict[str, Any]) -> None:
        self._call.change(
            "abort an upload to",
            lambda s3: s3.abort_multipart_upload(Bucket=self._bucket, **upload),
        )

    def _encryption(self) -> dict[str, Any]:
        key = self._settings.s3_kms_key
        options = {"ServerSideEncryption": self._settings.s3_encryption, "SSEKMSKeyId": key}
        return {name: value for name, value in options.items() if value}

    def _lock(self) -> dict[str, Any]:
        if not self._settings.s3_lock:
            return {}
        until = datetime.now(UTC) + timedelta(days=self._settings.s3_lock_days)
        return {
            "ObjectLockMode": self._settings.s3_lock.upper(),
            "ObjectLockRetainUntilDate": until,
        }

    def _refuse_locked(self, name: str) -> None:
        """Look for a lock first: in a bucket with versions a plain delete of a locked object "succeeds"."""

        def act(s3: S3Client) -> datetime | None:
            found = s3.head_object(Bucket=self._bucket, Key=self._prefix + name)
            return found.get("ObjectLockRetainUntilDate")

        try:
            until = self._call(f"look at {name} of", act)
        except ConfigurationError as error:
            if code(error.__cause__) != "404":
                raise
            return
        if until is not None and until > datetime.now(UTC):
            raise NotPermitted(
                f"cannot delete {name} of {self.where}",
                why=f"Object Lock holds it until {until:%Y-%m-%d %H:%M} UTC",
                hint="try again after that",
            )

    def _versions(self, name: str) -> list[str]:
        key = self._prefix + name

        def act(s3: S3Client) -> list[str]:
            pages = s3.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=key
            )
            found = [
                (each["Key"], each["VersionId"])
                for page in pages
                for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            ]
            return [version for other, version in found if other == key]

        return self._call(f"list versions of {name} in", act)
