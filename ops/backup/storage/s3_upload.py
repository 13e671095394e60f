"""An object of any size on its way to S3, in constant memory."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, Final, cast

from ops.backup.storage.s3_client import Caller
from ops.backup.storage.s3_errors import code
from ops.kernel import files
from ops.kernel.deadline import Deadline
from ops.kernel.errors import OpsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

FIRST_PART: Final = 16 * 1024 * 1024
_SAME_SIZE: Final = 1200
_IN_FLIGHT: Final = 3
_ABORT_SECONDS: Final = 15.0


def part_size(number: int) -> int:
    """Return the bytes of a part, counted from 1.

    A hundred times 192 MB have the same size; then it doubles, so that the 10,000 parts that S3 allows hold 6.7 TB and
    none is larger than the 5 GB that it allows. (Source: Amazon S3 User Guide, "Multipart upload limits".)
    """
    return FIRST_PART << (number - 1) // _SAME_SIZE


class Upload:
    """A multipart upload that is being filled.

    A part waits in a file without a name, so memory stays the same however large parts get, and three are on their
    way while the next one is filled.

    Args:
        caller: Calls the service.
        bucket: Name of the bucket.
        key: Of the object.
        options: Encryption and lock of the object.
    """

    def __init__(self, caller: Caller, bucket: str, key: str, options: Mapping[str, Any]) -> None:
        self._caller = caller
        self._bucket = bucket
        self._key = key
        made = caller.change(
            "start an upload to",
            lambda s3: s3.create_multipart_upload(
                Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256", **options
            ),
        )
        self._id = made["UploadId"]
        self._size = 0
        self._done: list[CompletedPartTypeDef] = []
        self._threads = ThreadPoolExecutor(_IN_FLIGHT, "invops-s3")
        self._sending: deque[Future[CompletedPartTypeDef]] = deque()
        self._part = _Part(1, caller.deadline)

    def write(self, data: bytes) -> int:
        """Take all of `data`."""
        left = memoryview(data)
        while left:
            left = left[self._part.fill(left) :]
            if self._part.is_full:
                self._hand_over()
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: parts are sent when they are full."""

    def complete(self) -> None:
        """Send the rest and make the object visible."""
        if self._part.size or self._part.number == 1:
            self._hand_over()
        while self._sending:
            self._done.append(self._sending.popleft().result())
        self._threads.shutdown()
        try:
            self._caller.change("complete an upload to", self._complete)
        except OpsError as error:
            # The answer to a call that succeeded was lost, and the call was repeated.
            if code(error.__cause__) != "NoSuchUpload" or not self._is_there():
                raise

    def abort(self) -> None:
        """Leave nothing; what cannot be removed now is left to `sweep`."""
        for each in self._sending:
            each.cancel()
        # Parts that arrive after the abort would stay.
        self._threads.shutdown(cancel_futures=True)
        self._part.close()
        with contextlib.suppress(OpsError):
            self._caller.change(
                "abort an upload to",
                lambda s3: s3.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._key, UploadId=self._id
                ),
                deadline=Deadline(_ABORT_SECONDS),
            )

    def _hand_over(self) -> None:
        if len(self._sending) == _IN_FLIGHT:
            self._done.append(self._sending.popleft().result())
        self._sending.append(self._threads.submit(self._send, self._part))
        self._part = _Part(self._part.number + 1, self._caller.deadline)

    def _send(self, part: _Part) -> CompletedPartTypeDef:
        with part:
            checksum = part.checksum

            def act(s3: S3Client) -> CompletedPartTypeDef:
                part.seek(0)
                sent = s3.upload_part(
                    Bucket=self._bucket,
                    Key=self._key,
                    UploadId=self._id,
                    PartNumber=part.number,
                    Body=cast("IO[bytes]", part),
                    ChecksumSHA256=checksum,
                )
                return {
                    "PartNumber": part.number,
                    "ETag": sent["ETag"],
                    "ChecksumSHA256": checksum,
                }

            return self._caller.change(f"send part {part.number} to", act)

    def _complete(self, s3: S3Client) -> object:
        return s3.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._id,
            MultipartUpload={"Parts": self._done},
        )

    def _is_there(self) -> bool:
        found = self._caller(
            "look for an object of",
            lambda s3: s3.head_object(Bucket=self._bucket, Key=self._key),
        )
        return found["ContentLength"] == self._size


class _Part:
    """A part in a file without a name; boto3 reads it as a stream that can be read again.

    Args:
        number: From 1.
        deadline: Ends a transfer that is on its way.
    """

    def __init__(self, number: int, deadline: Deadline) -> None:
        self.number = number
        self.size = 0
        self._deadline = deadline
        self._hash = hashlib.sha256()
        self._stack = contextlib.ExitStack()
        self._file: IO[bytes] = self._stack.enter_context(files.unnamed())

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_full(self) -> bool:
        return self.size == part_size(self.number)

    @property
    def checksum(self) -> str:
        return base64.b64encode(self._hash.digest()).decode()

    def fill(self, data: memoryview) -> int:
        """Take what there is room for; return how many bytes."""
        piece = data[: part_size(self.number) - self.size]
        with files.translated("cannot write a temporary file"):
            self._file.write(piece)
        self._hash.update(piece)
        self.size += len(piece)
        return len(piece)

    def read(self, size: int = -1) -> bytes:
        self._deadline.check("sending a part to S3")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._stack.close()
