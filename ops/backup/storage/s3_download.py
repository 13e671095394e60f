"""An object of any size on its way from S3, in constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ops.backup.storage.s3_client import Caller

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK: Final = 1024 * 1024


class _Body(Protocol):
    def read(self, amt: int | None = None) -> bytes: ...

    def close(self) -> None: ...


class Download:
    """An object that is being read; a lost connection goes on from where it was.

    Args:
        caller: Calls the service.
        bucket: Name of the bucket.
        key: Of the object.
    """

    def __init__(self, caller: Caller, bucket: str, key: str) -> None:
        self._caller = caller
        self._bucket = bucket
        self._key = key
        self._body: _Body | None = None
        self._etag = ""
        self._offset = 0
        caller("read an object of", self._open)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, a mebibyte when it is left open, none at the end.

        Raises:
            StepFailed: The object was replaced meanwhile.
        """
        amount = size if size >= 0 else _CHUNK
        data = self._caller("read an object of", lambda s3: self._read(s3, amount))
        self._offset += len(data)
        return data

    def close(self) -> None:
        """End the connection."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _read(self, s3: S3Client, amount: int) -> bytes:
        body = self._body or self._open(s3)
        try:
            return body.read(amount)
        except BaseException:
            self.close()
            raise

    def _open(self, s3: S3Client) -> _Body:
        if self._etag:
            found = s3.get_object(
                Bucket=self._bucket,
                Key=self._key,
                Range=f"bytes={self._offset}-",
                IfMatch=self._etag,
            )
        else:
            found = s3.get_object(Bucket=self._bucket, Key=self._key)
            self._etag = found["ETag"]
        self._body = found["Body"]
        return self._body
