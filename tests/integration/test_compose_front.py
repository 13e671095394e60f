"""`maintenance.on`, `maintenance.off`, `proxy.status`: the page, who still gets an answer, the counts."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from ops.hosts.agent.proxy import Proxy
from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.load import Load
from tests.support.local import eventually
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")


@pytest.fixture(scope="module")
def site(docker_engine: None) -> Iterator[Small]:
    with place() as base, small(base) as made:
        ran = made.deploy()
        assert ran.code == 0, ran.text
        yield made


def status(site: Small) -> dict[str, Any]:
    (host,) = site.json("proxy.status")["hosts"].values()
    assert isinstance(host, dict)
    return host


def active(site: Small) -> dict[str, Any]:
    """Return what the proxy says of the server that serves."""
    (server,) = [each for each in status(site)["servers"] if each["told"] == "ready"]
    assert isinstance(server, dict)
    return server


def page(site: Small) -> tuple[int, str | None]:
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)) as asked:
        asked.request("GET", "/")
        answer = asked.getresponse()
        return answer.status, answer.getheader("Retry-After")


def front(site: Small) -> Proxy:
    return Proxy(site.base / "containers" / "proxy")


def test_status_counts_every_request_and_every_error(site: Small) -> None:
    before = active(site)
    with Load("127.0.0.1", site.port, "/", "/slow", limit=200) as load:
        eventually(lambda: active(site)["sessions"] > 0, 30)
    counts = load.result()
    assert counts.failed == 0, counts
    after = active(site)
    asked = counts.new + counts.kept + counts.posts
    assert after["requests"] - before["requests"] == asked
    assert (after["errors"], after["error_rate"]) == (before["errors"], 0)
    assert (after["release"], after["state"], after["weight"]) == (site.version(), "UP", 1)
    text = site.run("proxy.status").out
    for words in (f"serves {site.version()}", "web/blue", "0.00%"):
        assert words in text


def test_errors_are_a_rate(site: Small) -> None:
    """The application's own container is stopped: the proxy's attempts are errors, then the slot is down."""
    (server,) = {active(site)["server"]}
    slot = server.rpartition("/")[2]
    container = f"{site.project}-web-{slot}-1"
    docker("pause", container)
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)) as asked:
            asked.request("GET", "/")
            assert active(site)["sessions"] == 1
            docker("kill", container)
            assert asked.getresponse().status >= 500
    finally:
        docker("start", container)
    assert eventually(lambda: page(site)[0] == 200, 60)
    found = active(site)
    assert found["errors"] >= 1
    assert found["error_rate"] == pytest.approx(found["errors"] / found["requests"], abs=1e-5)


def test_page_comes_after_the_requests_that_are_there_and_outlives_restarts_and_deploys(
    site: Small,
) -> None:
    slow: list[int] = []

    def ask() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)) as asked:
            asked.request("POST", "/slow", b"{}")
            slow.append(asked.getresponse().status)

    ran = site.run("maintenance.on", "--dry-run")
    assert (ran.code, page(site)[0]) == (10, 200), ran.text
    asking = threading.Thread(target=ask)
    asking.start()
    assert eventually(lambda: sum(each.current for each in front(site).servers()) == 1, 20)
    ran = site.run("maintenance.on", "--retry-after", "120")
    assert ran.code == 0, ran.text
    assert sum(each.current for each in front(site).servers()) == 0, "it did not wait for them"
    asking.join()
    assert slow == [200]
    assert page(site) == (503, "120")
    assert "nothing to change" in site.run("maintenance.on", "--retry-after", "120").out

    docker("restart", f"{site.project}-invops-proxy-1")
    assert eventually(lambda: front(site).running() and page(site) == (503, "120"), 30)
    assert status(site)["maintenance"] == 120
    assert "503, Retry-After 120" in site.run("proxy.status").out

    release = site.release()
    ran = site.deploy()
    assert ran.code == 0, ran.text
    assert "maintenance page" in ran.out and "stays on: inv maintenance.off" in ran.out
    assert page(site) == (503, "120")
    ran = site.run("drift")
    assert (ran.code, "maintenance page" in ran.out) == (0, True), ran.text

    assert site.run("maintenance.off").code == 0
    assert page(site) == (200, None)
    assert site.version() == release
    assert "nothing to change" in site.run("maintenance.off").out


def test_request_that_does_not_end_in_time_is_cut_and_told(site: Small) -> None:
    site.edit("ops.toml", 'stop_timeout = "10s"', 'stop_timeout = "1s"')
    site.edit("ops.toml", 'stop_timeout = "30s"', 'stop_timeout = "1s"')
    worst: list[str] = []

    def ask() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)) as asked:
            asked.request("POST", "/slow", b"{}")
            try:
                worst.append(str(asked.getresponse().status))
            except (http.client.HTTPException, OSError) as error:
                worst.append(type(error).__name__)

    (server,) = {active(site)["server"]}
    container = f"{site.project}-web-{server.rpartition('/')[2]}-1"
    asking = threading.Thread(target=ask)
    asking.start()
    assert eventually(lambda: sum(each.current for each in front(site).servers()) == 1, 20)
    docker("pause", container)  # now it does not end
    try:
        ran = site.run("maintenance.on")
    finally:
        docker("unpause", container)
    asking.join()
    assert ran.code == 0, ran.text
    assert "1 requests did not end in time and were cut" in ran.err
    assert worst not in ([], ["200"], ["TimeoutError"])
    assert site.run("maintenance.off").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("maintenance.on", "--retry-after", "0"), 3, "--retry-after 0 is no time"),
        (("maintenance.on", "--retry-after", "soon"), 3, "soon"),
    ],
)
def test_wrong_time_is_told(site: Small, words: tuple[str, ...], code: int, message: str) -> None:
    ran = site.run(*words)
    assert (ran.code, message in ran.err, ran.err.count("error: ")) == (code, True, 1), ran.text
