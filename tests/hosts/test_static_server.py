"""The static file server as a deploy starts it: isolated, on a Unix socket."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ops.hosts import haproxy, polling
from ops.kernel.deadline import Deadline
from tests.support.fronts import Child

SERVER = Path(__file__).parents[2] / "ops" / "hosts" / "static_server.py"
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"
NEW = {
    "index.html": "new page",
    "favicon.ico": "icon",
    "docs/index.html": "docs",
    "empty/readme.txt": "x",
    "assets/index-BwQy3kZ1.js": "new code",
    "assets/logo.svg": "<svg/>",
    "main.3f2a1b4c9d.css": "body {}",
    "report-20261121.pdf": "dated",
    "data.json": "{}",
    "app.mjs": "",
    "font.woff2": "",
    "site.webmanifest": "{}",
    "module.wasm": "",
    "blob.unknown": "",
    "name with space é.txt": "spaced",
    ".env": "secret",
    ".git/config": "secret",
    ".well-known/security.txt": "contact",
    "assets/.hidden.js": "secret",
}
OLD = {
    "index.html": "old page",
    "gone.html": "old",
    "assets/index-0ldC0de1.js": "old code",
    "assets/logo.svg": "<svg>old</svg>",
    "main.aaaabbbb1.css": "old css",
}


def fill(folder: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("static")
    fill(base / "old", OLD)
    fill(base / "new", NEW)
    (base / "secret.txt").write_text("secret")
    (base / "new" / "outside.txt").symlink_to(base / "secret.txt")
    (base / "new" / "inside.txt").symlink_to(base / "new" / "favicon.ico")
    (base / "new" / "loop.txt").symlink_to("loop.txt")
    os.mkfifo(base / "new" / "pipe.txt")
    return base


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[httpx.Client]:
    path = folder / "s"
    argv = [sys.executable, "-I", str(SERVER), "--uds", str(path)]
    argv += [str(folder / "new"), str(folder / "old"), str(folder / "pruned")]
    child = Child.start(argv, log=folder / "log")
    try:
        assert polling.wait_for(path.exists, Deadline(20), every=0.05), (folder / "log").read_text()
        transport = httpx.HTTPTransport(uds=str(path), retries=3)
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            yield client
    finally:
        child.end()
        assert child.process.returncode in (0, -15)
        assert (folder / "log").read_text() == ""


@pytest.mark.parametrize(
    ("path", "body", "kind", "cache"),
    [
        ("/", "new page", "text/html; charset=utf-8", REVALIDATE),
        ("/index.html", "new page", "text/html; charset=utf-8", REVALIDATE),
        ("/docs/", "docs", "text/html; charset=utf-8", REVALIDATE),
        ("/favicon.ico", "icon", "image/x-icon", REVALIDATE),
        ("/assets/index-BwQy3kZ1.js", "new code", "text/javascript; charset=utf-8", IMMUTABLE),
        ("/assets/logo.svg", "<svg/>", "image/svg+xml", IMMUTABLE),
        ("/main.3f2a1b4c9d.css", "body {}", "text/css; charset=utf-8", IMMUTABLE),
        ("/report-20261121.pdf", "dated", "application/pdf", REVALIDATE),
        ("/data.json", "{}", "application/json", REVALIDATE),
        ("/app.mjs", "", "text/javascript; charset=utf-8", REVALIDATE),
        ("/font.woff2", "", "font/woff2", REVALIDATE),
        ("/site.webmanifest", "{}", "application/manifest+json", REVALIDATE),
        ("/module.wasm", "", "application/wasm", REVALIDATE),
        ("/blob.unknown", "", "application/octet-stream", REVALIDATE),
        ("/name%20with%20space%20%C3%A9.txt", "spaced", "text/plain; charset=utf-8", REVALIDATE),
        ("/.well-known/security.txt", "contact", "text/plain; charset=utf-8", REVALIDATE),
        ("/inside.txt", "icon", "image/x-icon", REVALIDATE),
    ],
)
def test_file_has_its_type_and_cache(
    site: httpx.Client, path: str, body: str, kind: str, cache: str
) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.text) == (200, body)
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == cache
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/orders", "/orders/17", "/docs2/", "/empty", "/empty/"])
def test_path_of_the_application_gets_its_page(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.text) == (200, "new page")
    assert answer.headers["cache-control"] == REVALIDATE


@pytest.mark.parametrize(
    ("path", "body"),
    [("/assets/index-0ldC0de1.js", "old code"), ("/main.aaaabbbb1.css", "old css")],
)
def test_page_from_before_the_switch_still_finds_its_files(
    site: httpx.Client, path: str, body: str
) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.text) == (200, body)
    assert answer.headers["cache-control"] == IMMUTABLE


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/gone.html",
            "/assets/none.js",
            "/assets/none",
            "/assets/",
            "/none.3f2a1b4c9d.js",
            "/x.png",
        ),
        *("/.env", "/.git/config", "/assets/.hidden.js", "/.well-known/.x", "/x/.well-known/y"),
        *(
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/assets/..%2f..%2f..%2fsecret.txt",
        ),
        *("//etc/passwd.txt", "/%2fetc%2fhostname.txt", "/outside.txt", "/loop.txt", "/pipe.txt"),
        *("/a%00.txt", f"/{'x' * 300}.txt"),
    ],
)
def test_nothing_else_is_served(site: httpx.Client, path: str) -> None:
    target = httpx.URL("http://localhost").copy_with(raw_path=path.encode())
    answer = site.send(httpx.Request("GET", target, extensions={"target": path.encode()}))
    assert (answer.status_code, answer.text) == (404, "not found\n")
    assert answer.headers["cache-control"] == REVALIDATE


def test_folder_without_slash_is_redirected(site: httpx.Client) -> None:
    answer = site.get("/docs")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs/")


def test_known_content_is_not_sent_again(site: httpx.Client) -> None:
    tag = site.get("/").headers["etag"]
    for known in (tag, f'"x", W/{tag}', "*"):
        answer = site.get("/", headers={"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    assert site.get("/", headers={"if-none-match": '"x"'}).status_code == 200


def test_rollback_to_older_files_of_the_same_size_is_noticed(
    site: httpx.Client, folder: Path
) -> None:
    page = folder / "new" / "data.json"
    first = site.get("/data.json")
    status = page.stat()
    page.unlink()
    page.write_text("[]")
    os.utime(page, (status.st_atime, status.st_mtime - 1000))
    known = {name: first.headers[name] for name in ("etag", "last-modified")}
    answer = site.get(
        "/data.json",
        headers={"if-none-match": known["etag"], "if-modified-since": known["last-modified"]},
    )
    assert (answer.status_code, answer.text) == (200, "[]")
    assert (
        site.get("/data.json", headers={"if-modified-since": known["last-modified"]}).status_code
        == 200
    )


def test_part_of_a_file_can_be_asked_for(site: httpx.Client) -> None:
    answer = site.get("/", headers={"range": "bytes=4-"})
    assert (answer.status_code, answer.text) == (206, "page")


def test_only_get_and_head_are_allowed(site: httpx.Client) -> None:
    head = site.head("/")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "8")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert site.request(method, "/").status_code == 405


def test_liveness_is_where_the_proxy_asks(site: httpx.Client) -> None:
    assert site.get(haproxy.STATIC_LIVE).json() == {"status": "ok"}


def test_wrong_arguments_are_one_message() -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(SERVER)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "the following arguments are required: --uds, folders" in done.stderr
