"""The base image of all others: a small Debian, made here, so that no registry of images is needed."""

from __future__ import annotations

import os
import subprocess
from functools import cache as once
from pathlib import Path
from shlex import quote

from tests.conftest import require
from tests.support.docker.engine import CACHE, docker

RELEASE = "bookworm"
CERTIFICATES = Path("/usr/local/share/ca-certificates")
FILES = Path(__file__).parent / "recipes/base"
OPTIONS = (
    *("--quiet", "--format=tar", "--variant=apt", "--include=ca-certificates,usr-is-merged"),
    "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",  # without perl, which merges it later
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")),
    "--dpkgopt=force-unsafe-io",  # these files live for a test
    '--aptopt=APT::Install-Recommends "false"',
    '--aptopt=Acquire::Languages "none"',
    # pip and npm need the certificates that this machine trusts beside the usual ones.
    f"--essential-hook=mkdir -p {CERTIFICATES} && cp -r --parents {CERTIFICATES} $1/",
)


def recipe() -> list[object]:
    """Return all that the base image depends on, beside its files."""
    trusted = [path.read_bytes() for path in sorted(CERTIFICATES.glob("*.crt"))]
    return [RELEASE, mirror(), OPTIONS, trusted]


@once
def mirror() -> list[str]:
    """Return the mirror of Debian that this machine takes its packages from; none: mmdebstrap's own."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(SITE)"]
    require("apt-get", "apt")
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in listed.splitlines()]
    sites = [site for origin, codename, site in lines if origin == "Debian" and "-" not in codename]
    return [f"deb {site} {RELEASE} main" for site in sites[:1]]


def make(tag: str, key: str) -> None:
    """Make the base image, from the archive of an earlier run where there is one."""
    archive = CACHE / f"base-{key}.tar"
    if not archive.exists():
        require("mmdebstrap", "mmdebstrap")
        half = archive.with_suffix(f".{os.getpid()}")
        copy = f"--customize-hook=cp {quote(str(FILES))}/* $1/usr/sbin/"
        command = ["mmdebstrap", *OPTIONS, copy, RELEASE, str(half), *mirror()]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"mmdebstrap: {ran.stderr}"
        half.rename(archive)
    docker("import", "--change", 'CMD ["bash"]', str(archive), tag)
