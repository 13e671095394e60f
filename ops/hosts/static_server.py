"""Serves the static files of a release, and the hashed files of the releases before it.

Runs in an environment of its own that has Starlette and uvicorn but not `ops`, as
`python -I static_server.py --uds SOCKET FOLDER...`. `-I` matters: with the folder of this file in front of the
import path, the module `http` beside it would hide Python's own.

- A page that was loaded before a switch asks for the files of its release: hashed names are looked up in all folders,
  newest first, everything else only in the newest.
- Hashed names never change their content: kept for a year (RFC 8246). Everything else is asked for again each time,
  by a hash of the content: times would be wrong after a rollback, which brings older files.
- A path without an extension that is no file is a page of the application: it gets `index.html`.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import mimetypes
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

LIVE = "/_static/live"
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"
# A hash as bundlers write it: at least 8 hexadecimal digits with a letter and a digit, so that a date is none.
_HASHED = re.compile(r"[.-](?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,64}\.")
# The table of the system differs from machine to machine, Python's own from version to version.
_TYPES = mimetypes.MimeTypes()
for _extension, _type in {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".md": "text/markdown",
}.items():
    _TYPES.add_type(_type, _extension)


def application(folders: Sequence[Path]) -> Starlette:
    """Return the application that serves `folders`, the newest first."""
    roots = [folder.resolve() for folder in folders]

    def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    # Not `async`: Starlette runs it in a thread, so that a slow disk does not hold up the others.
    def serve(request: Request) -> Response:
        path = request.path_params["path"]
        if _hidden(path):
            return _missing()
        immutable = _immutable(path)
        for root in roots if immutable else roots[:1]:
            if found := _file(root, path):
                return _answer(request, found, IMMUTABLE if immutable else REVALIDATE)
        if not immutable and path and not path.endswith("/") and _file(roots[0], f"{path}/"):
            return RedirectResponse(f"/{path.lstrip('/')}/", headers={"cache-control": REVALIDATE})
        page = _file(roots[0], "")
        if page and not immutable and not Path(path).suffix:
            return _answer(request, page, REVALIDATE)
        return _missing()

    return Starlette(routes=[Route(LIVE, live), Route("/{path:path}", serve)])


def _immutable(path: str) -> bool:
    folder, _, name = f"/{path}".rpartition("/")
    return "/assets/" in f"{folder}/" or bool(_HASHED.search(name))


def _hidden(path: str) -> bool:
    parts = path.split("/")
    return "\0" in path or any(part.startswith(".") for part in parts[parts[0] == ".well-known" :])


def _file(root: Path, path: str) -> Path | None:
    """Return the file at `path`, for a folder its index.html; never one outside of `root`."""
    wanted = root / path.lstrip("/")
    if path == "" or path.endswith("/"):
        wanted /= "index.html"
    try:
        found = wanted.resolve(strict=True)
        regular = stat.S_ISREG(found.stat().st_mode) and os.access(found, os.R_OK)
    except (OSError, RuntimeError):  # missing, a name that is too long, a loop of links
        return None
    return found if regular and found.is_relative_to(root) else None


def _answer(request: Request, path: Path, cache: str) -> Response:
    try:
        status = path.stat()
        tag = f'"{_digest(path, status.st_ino, status.st_mtime_ns, status.st_size)}"'
    except OSError:  # an old release was removed just now
        return _missing()
    headers = {"etag": tag, "cache-control": cache, "x-content-type-options": "nosniff"}
    known = [
        each.strip().removeprefix("W/")
        for each in request.headers.get("if-none-match", "").split(",")
    ]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    kind = _TYPES.guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(path, media_type=kind, headers=headers, stat_result=status)


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, inode: int, modified: int, size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:32]


def _missing() -> Response:
    return PlainTextResponse("not found\n", status_code=404, headers={"cache-control": REVALIDATE})


def main() -> None:
    """Serve until SIGTERM; open requests get 5 seconds."""
    parser = argparse.ArgumentParser(description="Serve static files on a Unix socket.")
    parser.add_argument("--uds", required=True, help="path of the Unix socket")
    parser.add_argument(
        "folders", nargs="+", type=Path, help="folders of files, the newest release first"
    )
    arguments = parser.parse_args()
    uvicorn.run(
        application(arguments.folders),
        uds=arguments.uds,
        access_log=False,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
