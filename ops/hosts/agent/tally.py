"""What the proxy counted of a slot's requests, and whether one slot is worse than the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops.hosts.agent.servers import Server

FAILURES = 5
"""So many failed requests of a service decide: one unlucky request among three does not."""
REQUESTS = 50
"""From so many requests on a mean or a share means something (Envoy's `failure_percentage_request_volume`)."""
SLOWER = 100.0
"""Milliseconds: whatever the factor, less than that is not slower."""


@dataclass(frozen=True)
class Counts:
    """What was counted of a service's requests.

    Args:
        requests: That ended.
        failed: Of these, answered with 5xx, not at all, or not to the end.
        milliseconds: That the answers of all took together.
    """

    requests: int = 0
    failed: int = 0
    milliseconds: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests,
            self.failed + other.failed,
            self.milliseconds + other.milliseconds,
        )

    @property
    def percent(self) -> float:
        """Share of the failed ones; of too few requests it is taken for none."""
        return 100 * self.failed / self.requests if self.requests else 0.0

    @property
    def mean(self) -> float:
        """Milliseconds that an answer took."""
        return self.milliseconds / self.requests if self.requests else 0.0


class Tally:
    """Counts of services that grow: a proxy that starts anew begins at zero, what was counted before stays."""

    def __init__(self) -> None:
        self._before: dict[str, Counts] = {}
        self._last: dict[str, Counts] = {}

    def take(self, reading: Mapping[str, Counts]) -> dict[str, Counts]:
        """Take what the proxy says now; return everything since the beginning."""
        for service, last in self._last.items():
            now = reading.get(service, Counts())
            if now.requests < last.requests:
                self._before[service] = self._before.get(service, Counts()) + last
        self._last = dict(reading)
        return added(self._before, reading)


@dataclass(frozen=True)
class Limits:
    """How much worse a slot may be.

    Args:
        errors: Percentage points that more of its requests may fail.
        latency: How many times as long its answers may take.
    """

    errors: float
    latency: float


def counted(servers: Iterable[Server]) -> dict[str, Counts]:
    """Return what was counted of each service of a slot.

    Source: HAProxy management guide 2.6, 9.1: a request to which a server could not be connected counts in `econ`, one
    without a whole answer in `eresp`, and neither in `hrsp_*`; `rtime` is the mean of the last ones.
    """
    found: dict[str, Counts] = {}
    for server in servers:
        there = server.counters
        broken = there["econ"] + there["eresp"]
        requests = broken + sum(there[name] for name in there if name.startswith("hrsp_"))
        one = Counts(requests, broken + there["hrsp_5xx"], float(requests * there["rtime"]))
        found[server.service] = found.get(server.service, Counts()) + one
    return found


def added(some: Mapping[str, Counts], more: Mapping[str, Counts]) -> dict[str, Counts]:
    """Return the sum of each service's counts."""
    return {
        service: some.get(service, Counts()) + more.get(service, Counts())
        for service in {**some, **more}
    }


def worse(new: Mapping[str, Counts], old: Mapping[str, Counts], limits: Limits) -> str:
    """Say why a slot is worse than the one before it, empty when it is not."""
    for service, each in new.items():
        before = old.get(service, Counts())
        # Of a few requests that share says nothing: a service that failed twice in five is no excuse.
        usual = before.percent if before.requests >= REQUESTS else 0.0
        if each.failed >= FAILURES and each.percent - usual > limits.errors:
            return f"{service}: {failures(each, before)}, limit {limits.errors:g} points"
        if min(each.requests, before.requests) < REQUESTS:
            continue
        if each.mean > max(before.mean * limits.latency, before.mean + SLOWER):
            took = f"new {each.mean:.0f} ms for an answer ({each.requests} requests)"
            was = f"old {before.mean:.0f} ms ({before.requests} requests)"
            return f"{service}: {took}, {was}, limit {limits.latency:g} times"
    return ""


def failures(new: Counts, old: Counts) -> str:
    """Return the numbers for a person."""
    return (
        f"new {new.percent:.1f} % of {new.requests} requests failed, "
        f"old {old.percent:.1f} % of {old.requests}"
    )
