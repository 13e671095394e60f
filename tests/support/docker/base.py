"""The base image of all others: a small Debian, made here, so that no registry of images is needed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shlex import quote

from tests.conftest import lacking, require
from tests.support.docker.engine import cache, docker

RELEASE = "bookworm"
CERTIFICATES = Path("/usr/local/share/ca-certificates")
FILES = Path(__file__).parent / "images/base"
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


def mirror() -> str:
    """Return the mirror of Debian that this machine takes its own packages from."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(SITE)"]
    require("apt-get", "apt")
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for origin, codename, site in (line.split() for line in listed.splitlines()):
        if origin == "Debian" and "-" not in codename:
            return site
    lacking("the images of the tests come from a mirror of Debian, and apt knows none here")


def make(tag: str, key: str) -> None:
    """Make the base image, from the archive of an earlier run where there is one."""
    archive = cache() / f"base-{key}.tar"
    if not archive.exists():
        require("mmdebstrap", "mmdebstrap")
        half = archive.with_suffix(f".{os.getpid()}")
        copy = f"--customize-hook=cp {quote(str(FILES))}/* $1/usr/sbin/"
        source = f"deb {mirror()} {RELEASE} main"
        command = ["mmdebstrap", *OPTIONS, copy, RELEASE, str(half), source]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"mmdebstrap: {ran.stderr}"
        half.rename(archive)
    docker("import", "--change", 'CMD ["bash"]', str(archive), tag)
