"""Deploys of the small application's containers, beside what a small team's script does.

The script is deploy.sh of the seeds without its backup, its migrations and its `down`: build, `docker compose up -d`,
ask whether it answers. The application is a web service alone, as the peer's was, where nothing else is said.

The image of each version is built before the clock starts, as `docker push` of a pipeline has it; the first deploy,
which fills caches, is not counted.
"""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ops.hosts import http
from ops.kernel.errors import ConnectionFailed
from tests.support.docker import apps, engine
from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.docker.hosts import hosts
from tests.support.docker.images import image
from tests.support.load import Load
from tests.support.local import eventually
from tests.support.places import free_port, place

RUNS = 5
HOSTS = 4
TRIES, PAUSE = 10, 5
"""How often the script asks, and the seconds before each time. Source: the seeds' deploy.sh, step 7."""
NEW = 20
"""Requests a second on new connections, beside 200 on kept ones and POSTs of two seconds."""
_PATIENCE = 60


@dataclass(frozen=True)
class Composed:
    """Medians in seconds, and how many requests failed.

    Args:
        idle: Deploy of a web service without load, as the peer was measured.
        loaded: The same under load; its POSTs are about two seconds of drain.
        rollback: Back to the warm slot, nothing to drain.
        worker: Deploy of a web service and a worker, which must run for a second before it counts as healthy.
        naive: The script under the same load.
        bare: `docker compose up` alone under the same load, until the new version answers.
        crash: From the second crash of a new version to the end of the deploy.
        many: A deploy to `HOSTS` hosts against one to a single host.
        failed: Requests that failed in the deploys under load.
        failed_naive: In as many runs of the script.
    """

    idle: float
    loaded: float
    rollback: float
    worker: float
    naive: float
    bare: float
    crash: float
    many: float
    failed: int
    failed_naive: int


def measure() -> Composed:
    """Measure everything; takes about five minutes."""
    with engine.running(), place() as base:
        with small(base) as app:
            _run(app, "deploy")
            worker = _median(lambda: _new(app), lambda: _run(app, "deploy"))
            app.without_worker()
            _run(app, "deploy")
            idle = _median(lambda: _new(app), lambda: _run(app, "deploy"))
            rollback = _median(lambda: _run(app, "deploy"), lambda: _run(app, "rollback"))
            with _load(app.port) as load:
                loaded = _median(lambda: _new(app), lambda: _run(app, "deploy"))
            crash = median(_crash(app) for _ in range(3))
        naive, bare, failed_naive = _naive()
        many = _many(base)
    failed = load.result().failed
    return Composed(idle, loaded, rollback, worker, naive, bare, crash, many, failed, failed_naive)


def _median(before: Callable[[], object], work: Callable[[], object]) -> float:
    """Do some work several times and return the median of its seconds."""
    seconds = []
    for _ in range(RUNS):
        before()
        seconds.append(_timed(work))
    return median(seconds)


def _naive() -> tuple[float, float, int]:
    """Return the seconds of the script, those of `docker compose up` alone, and the requests that failed."""
    with (
        TemporaryDirectory(prefix="invops-naive-") as folder,
        apps.app(Path(folder) / "app") as app,
    ):
        port, versions = free_port(), itertools.count(1)

        def new() -> None:
            app.release(str(next(versions)), PORT=port)

        def up() -> None:
            app.compose("up", "--detach")
            assert eventually(lambda: _answers(port), _PATIENCE)

        def script() -> None:
            app.compose("build", "--quiet")
            app.compose("up", "--detach")
            for _ in range(TRIES):
                time.sleep(PAUSE)
                if _answers(port):
                    return
            raise AssertionError("the script's version does not answer")

        new()
        up()
        with _load(port) as load:
            bare = _median(new, up)
            seconds = _median(new, script)
        return seconds, bare, load.result().failed


def _many(base: Path) -> float:
    """Return how much longer a deploy to several hosts takes than one to a single host, in the same minute."""
    with (
        hosts(HOSTS) as every,
        small(base, hosts=every[:1]) as single,
        small(base, hosts=every) as several,
    ):
        for app in (single, several):
            app.without_worker()
            _run(app, "deploy")
        ratios = []
        for _ in range(RUNS):
            for app in (single, several):
                _new(app)
            took = _timed(lambda: _run(several, "deploy"))
            ratios.append(took / _timed(lambda: _run(single, "deploy")))
    return median(ratios)


def _crash(app: Small) -> float:
    """Deploy a version that crashes; return the seconds from its second crash to the end of the deploy."""
    _new(app, "crash")
    ends: list[float] = []
    listing = ("docker", "events", "--filter=event=die", "--format={{.TimeNano}} {{.Actor.ID}}")
    web = f"--filter=label=com.docker.compose.project={app.project}"
    events = subprocess.Popen([*listing, web], stdout=subprocess.PIPE, text=True)

    def read() -> None:
        assert events.stdout is not None
        dead: dict[str, int] = {}
        for line in events.stdout:
            moment, who = line.split()
            dead[who] = dead.get(who, 0) + 1
            if dead[who] == 2:
                ends.append(int(moment) / 1e9)

    with events:
        thread = threading.Thread(target=read)
        thread.start()
        ran = app.deploy("--quiet")
        ended = time.time()
        events.terminate()
        thread.join()
    assert ran.code == 1 and "crashed" in ran.err, ran.text
    return ended - ends[0]


def _new(app: Small, mode: str = "good") -> None:
    """Make the next version and build its image."""
    release = app.release(mode)
    python = f"--build-arg=PYTHON_IMAGE={image('python')}"
    tag = f"--tag=invops/small-web:{release}"
    docker("buildx", "build", "--quiet", python, "--build-arg=VERSION=next", tag, str(app.folder))


def _run(app: Small, *words: str) -> None:
    ran = app.run(*words, "--quiet")
    assert ran.code == 0, ran.text


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


@contextmanager
def _load(port: int) -> Iterator[Load]:
    with Load("127.0.0.1", port, "/", "/slow", new=NEW, limit=600) as load:
        time.sleep(2)  # POSTs are on their way from the beginning
        yield load


def _answers(port: int) -> bool:
    try:
        return http.get(f"http://127.0.0.1:{port}/health", timeout=2).status == 200
    except ConnectionFailed:
        return False
