"""Calls to S3: one client, retries on named errors, errors of our tree, nothing that changes in a dry run.

Credentials come by boto3's own chain: variables of this process, ~/.aws, the role of the machine. boto3 reads those
variables itself; none of our code does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from ops.backup.storage import s3_errors
from ops.kernel import guard
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS: Final = 7
FIRST_PAUSE = 0.2
_LONGEST_PAUSE: Final = 5.0
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0
READS: Final = frozenset(
    {
        "GetObject",
        "GetObjectLockConfiguration",
        "HeadBucket",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjectsV2",
    }
)
"""What may leave in a dry run; every other operation asks the guard, also one that a later change adds."""

T = TypeVar("T")


class Caller:
    """Calls of one store.

    Args:
        context: Gives the settings of the service and the deadline.
        where: The store in messages.
    """

    def __init__(self, context: Context, where: str) -> None:
        self._context = context
        self._where = where

    @property
    def deadline(self) -> Deadline:
        """How long the calls may take together."""
        return self._context.deadline

    def __call__(
        self, what: str, act: Callable[[S3Client], T], *, deadline: Deadline | None = None
    ) -> T:
        """Call the service; again after an error that passes.

        Args:
            what: What is done, for messages: "read".
            act: The call; it must be safe to repeat.
            deadline: In place of the context's.

        Raises:
            OpsError: As `s3_errors.explained` says.
        """
        limit = deadline or self.deadline

        def used_up(state: RetryCallState) -> bool:
            return state.attempt_number >= ATTEMPTS or limit.remaining() <= 0

        retrying = Retrying(
            retry=retry_if_exception(s3_errors.passes),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=_LONGEST_PAUSE),
            stop=used_up,
            reraise=True,
        )
        with self._translated(what, limit):
            client = self._client
            for attempt in retrying:
                with attempt:
                    limit.check(f"trying to {what} {self._where}")
                    return act(client)
        raise AssertionError("tenacity raises the last error")

    def change(
        self, what: str, act: Callable[[S3Client], T], *, deadline: Deadline | None = None
    ) -> T:
        """Call the service for a change, see `__call__`.

        Raises:
            EffectRefused: In a dry run or a read task.
        """
        guard.effect(f"{what} {self._where}")
        return self(what, act, deadline=deadline)

    @contextlib.contextmanager
    def _translated(self, what: str, limit: Deadline) -> Iterator[None]:
        try:
            yield
        except s3_errors.foreign() as error:
            limit.check(f"trying to {what} {self._where}")
            raise s3_errors.explained(f"cannot {what} {self._where}", error) from error

    @cached_property
    def _client(self) -> S3Client:
        # 0.3 s and 40 MB: only who uses S3 pays for it.
        from boto3.session import Session
        from botocore.config import Config

        settings = self._context.settings.backup
        left = max(0.1, self.deadline.remaining())
        config = Config(
            connect_timeout=min(_CONNECT_SECONDS, left),
            read_timeout=min(_READ_SECONDS, left),
            # We repeat, within the deadline; botocore's own repetitions know none.
            retries={"total_max_attempts": 1, "mode": "standard"},
            # The manifest has the hash of the whole archive; a range of it has no checksum.
            response_checksum_validation="when_required",
        )
        try:
            client = Session().client(
                "s3",
                endpoint_url=settings.s3_endpoint or None,
                region_name=settings.s3_region or None,
                config=config,
            )
        except ValueError:
            raise ConfigurationError(
                "backup.s3_endpoint is no address",
                hint="https://host, or https://host:port",
            ) from None
        client.meta.events.register("before-call.s3", _ask_guard)
        return client


def _ask_guard(model: Any, **_: object) -> None:
    """Refuse what is not known to read only; boto3 calls it before each request."""
    if model.name not in READS:
        guard.effect(f"call {model.name} of S3")
