"""Whether a slot is worse than the one before it, from what the proxy counted."""

from __future__ import annotations

import pytest

from ops.hosts.agent.servers import Server
from ops.hosts.agent.tally import Counts, Limits, Tally, counted, worse

LIMITS = Limits(errors=5, latency=3)


def counts(requests: int, failed: int, mean: float = 10) -> Counts:
    return Counts(requests, failed, requests * mean)


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        (counts(340, 41), counts(900, 1), "new 12.1 % of 340 requests failed, old 0.1 % of 900"),
        (counts(340, 17), counts(900, 1), ""),
        (counts(100, 5), counts(900, 0), ""),
        (counts(100, 6), counts(900, 0), "new 6.0 % of 100"),
        (counts(100, 20), counts(900, 180), ""),
        (counts(100, 26), counts(900, 180), "new 26.0 % of 100 requests failed, old 20.0 %"),
        (counts(3, 1), counts(900, 0), ""),
        (counts(20, 4), counts(900, 0), ""),
        (counts(5, 5), counts(900, 0), "new 100.0 % of 5"),
        (counts(60, 10), counts(5, 2), "new 16.7 % of 60"),
        (counts(60, 10), Counts(), "new 16.7 % of 60 requests failed, old 0.0 % of 0"),
        (Counts(), counts(900, 1), ""),
        (Counts(), Counts(), ""),
    ],
)
def test_verdict_over_failed_requests(new: Counts, old: Counts, verdict: str) -> None:
    found = worse({"web": new}, {"web": old}, LIMITS)
    assert (found.startswith("web: "), verdict in found) == (bool(verdict), True), found
    assert not found or found.endswith(", limit 5 points")


@pytest.mark.parametrize(
    ("new", "old", "slower"),
    [
        (counts(100, 0, 400), counts(900, 0, 100), True),
        (counts(100, 0, 299), counts(900, 0, 100), False),
        (counts(100, 0, 90), counts(900, 0, 2), False),
        (counts(100, 0, 103), counts(900, 0, 2), True),
        (counts(49, 0, 4000), counts(900, 0, 100), False),
        (counts(100, 0, 4000), counts(49, 0, 100), False),
        (counts(100, 0, 4000), Counts(), False),
        (counts(100, 0, 50), counts(900, 0, 100), False),
    ],
)
def test_verdict_over_latency(new: Counts, old: Counts, slower: bool) -> None:
    found = worse({"web": new}, {"web": old}, LIMITS)
    assert bool(found) is slower, found
    if slower:
        assert f"new {new.mean:.0f} ms for an answer" in found and "limit 3 times" in found


def test_one_broken_service_is_not_hidden_by_a_busy_one() -> None:
    new = {"web": counts(10_000, 0), "api": counts(60, 40)}
    assert worse(new, {"web": counts(9000, 0), "api": counts(90, 0)}, LIMITS).startswith("api: ")


def test_what_was_counted_before_the_proxy_started_anew_stays() -> None:
    tally = Tally()
    assert tally.take({"web": counts(100, 2)}) == {"web": counts(100, 2)}
    assert tally.take({"web": counts(150, 2)}) == {"web": counts(150, 2)}
    assert tally.take({}) == {"web": counts(150, 2)}
    assert tally.take({"web": counts(10, 1)}) == {"web": counts(160, 3)}
    assert tally.take({"web": counts(30, 1)}) == {"web": counts(180, 3)}


def test_no_answer_and_half_an_answer_are_failures() -> None:
    def server(name: str, **seen: int) -> Server:
        none = ("hrsp_1xx", "hrsp_2xx", "hrsp_4xx", "hrsp_5xx", "econ", "eresp", "rtime", "ttime")
        numbers = {**dict.fromkeys(none, 0), **seen}
        return Server("web", "blue", name, "ready", "UP", "L7OK", "", 1, 1, 0, 0, numbers)

    first = server("web/blue1", hrsp_2xx=90, hrsp_4xx=4, hrsp_5xx=3, econ=2, eresp=1, rtime=20)
    second = server("web/blue2", hrsp_2xx=100, rtime=40)
    assert counted([first, second]) == {"web": Counts(200, 6, 6000.0)}
    assert counted([]) == {}
