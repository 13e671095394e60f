"""`inv setup.server` on a server as it comes, seen from outside; then a deploy there, with TLS from an ACME server.

The tests of this file follow each other on one server: what each of them needs is a fixture.
"""

from __future__ import annotations

import json
import re
import shlex
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.hosts.ssh import link
from ops.kernel.errors import ConnectionFailed
from ops.setup.server import reached, steps
from tests.support.docker.images import images
from tests.support.docker.servers import OPEN, SECRET, SETTINGS, Server, server
from tests.support.local import eventually
from tests.support.machines import World, world
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")
UNITS = "/etc/systemd/system"


@pytest.fixture(scope="module")
def bare(docker_engine: None) -> Iterator[Server]:
    with place() as base, server(base) as made:
        yield made


@pytest.fixture(scope="module")
def ready(bare: Server) -> Server:
    """The server after `setup.server`; Docker had settings there already."""
    bare.settle('{"labels": ["rack=7"]}')
    code, text = bare.setup("--yes")
    assert code == 0, text
    for port in OPEN[1:]:  # named for the certificate: nothing listens there any more
        assert not bare.reachable(port)
    return bare


@pytest.fixture(scope="module")
def deployed(ready: Server) -> Server:
    """The server with the application on it."""
    ready.host.load(*images("haproxy", "redis", "postgres").values())
    ran = ready.app.deploy()
    assert ran.code == 0, ran.text
    assert f"https://{ready.domain}" in ran.out
    return ready


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def test_server_whose_key_is_unknown_is_refused_with_what_to_do(bare: Server) -> None:
    name = f"127.0.0.1:{bare.host.port}"
    bare.app.edit(
        "ops.toml", "host_keys = {", f'host_keys = {{ "{name}" = "SHA256:{"x" * 43}" }} #'
    )
    code, text = bare.setup("--yes")
    assert (code, text.count("error: ")) == (5, 1), text
    assert bare.host.fingerprint in text
    bare.app.edit("ops.toml", "host_keys = {", "# host_keys = {")
    code, text = bare.setup("--yes")
    assert (code, text.count("error: ")) == (5, 1), text
    assert f'host_keys = {{ "{name}" = "{bare.host.fingerprint}" }}' in text
    assert f"[127.0.0.1]:{bare.host.port} {bare.host.host_key}" in text
    bare.app.git("checkout", "--quiet", "ops.toml")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--host", "a b"), "--host 'a b' is no address"),
        (("--host", "web1", "--key", "ops.toml"), "ops.toml is no public key of SSH"),
        (("--host", "web1", "--key", "nothing.pub"), "cannot read nothing.pub"),
    ],
)
def test_bad_words_are_one_line(bare: Server, words: tuple[str, ...], expected: str) -> None:
    ran = bare.app.run("setup.server", *words)
    assert (ran.code, ran.err.count("error: ")) == (3, 1), ran.text
    assert expected in ran.err


def test_dry_run_shows_everything_and_leaves_the_server_as_it_is(bare: Server) -> None:
    find = ("find", "/", "-xdev", "-newer", "/proc/self", "-type", "f", "-not", "-path", "/run/*")
    packages = bare.host.inside("dpkg-query", "-W")
    bare.host.inside("touch", "/marker")
    code, text = bare.setup("--dry-run")
    assert code == 10, text
    for words in ("docker.io", "Copy Docker Compose 2.", "debian 12 has none", "user deploy"):
        assert words in text
    assert "live-restore in /etc/docker/daemon.json (off, there is no such file)" in text
    for words in (bare.base, "but 22 (SSH), 80 and 443", f"certificate for {bare.domain}"):
        assert words in text
    assert SECRET not in text
    assert bare.host.inside("dpkg-query", "-W") == packages
    newer = [
        *find[:3],
        "-newer",
        "/marker",
        *find[5:],
        "-not",
        "-path",
        "/proc/*",
        "-not",
        "-path",
        "/sys/*",
    ]
    assert bare.host.inside(*newer) == ""


def test_settings_of_docker_that_are_no_json_are_one_line(bare: Server) -> None:
    bare.settle('{"labels": ["rack=7"],}')
    for word in ("--dry-run", "--yes"):
        code, text = bare.setup(word)
        assert (code, text.count("error: ")) == (3, 1), text
        assert f"{SETTINGS} is no JSON: " in text and "line 1 column " in text
        assert f"python3 -m json.tool {SETTINGS}" in text
    assert bare.host.inside("cat", SETTINGS) == '{"labels": ["rack=7"],}'
    bare.host.inside("rm", "-r", "/etc/docker")


def test_server_has_all_that_a_deploy_needs(ready: Server) -> None:
    host, file = ready.host, f"/etc/invops/small-{ready.app.environment}.env"
    as_user = f"su - deploy -c {shlex.quote('docker version --format {{.Server.Version}}; docker compose version')}"
    assert re.match(r"20\..*\nDocker Compose version 2\.", host.inside("sh", "-c", as_user))
    modes = host.inside("stat", "-c", "%a %U", ready.base, file).splitlines()
    assert modes == ["700 deploy", "600 deploy"]
    told = host.inside("sh", "-c", f'. {file}; printf "%s %s" "$TOKEN" "$BASE_FOLDER"')
    assert told == f"{SECRET} {ready.base}"
    updates = host.inside("apt-config", "dump", "APT::Periodic::Unattended-Upgrade")
    assert '"1"' in updates
    assert host.inside("readlink", f"{UNITS}/sysinit.target.wants/invops-firewall.service")
    docker = ("docker", "info", "--format={{.Labels}} {{.LiveRestoreEnabled}}")
    assert host.inside(*docker) == "[rack=7] true\n"
    settings = json.loads(host.inside("cat", SETTINGS))
    assert settings == {"labels": ["rack=7"], "live-restore": True}
    for log in (ready.app.folder / ".ops" / "logs").glob("*.log"):
        assert SECRET not in log.read_text("utf-8")


def test_second_run_changes_nothing(ready: Server) -> None:
    ready.host.inside("touch", "/marker")
    code, text = ready.setup("--yes")
    assert (code, "nothing to change" in text) == (0, True), text
    changed = ready.host.inside(
        "find", "/etc", "/usr", "/srv", "/var/lib/invops", "-newer", "/marker"
    )
    assert changed == ""


def test_what_was_changed_by_hand_is_all_that_is_made_again(ready: Server) -> None:
    ready.host.inside(
        "nft", "add", "rule", "inet", "invops", "input", "tcp", "dport", "9999", "accept"
    )
    ready.host.inside("chmod", "755", ready.base)
    ready.settle('{"labels": ["rack=8"]}')
    code, text = ready.setup("--yes")
    assert code == 0, text
    assert "live-restore in /etc/docker/daemon.json (off)" in text
    assert "changed by hand" in text or "but 22 (SSH)" in text
    assert "open to others" in text and "Install packages" not in text
    assert "9999" not in ready.rules()
    assert ready.setup("--dry-run")[1].startswith("nothing to change")


def test_user_with_sudo_does_the_same_and_one_without_is_refused(ready: Server) -> None:
    host = ready.host
    host.inside("useradd", "--create-home", "--shell", "/bin/bash", "-p", "*", "anna")
    host.inside("cp", "-r", "/root/.ssh", "/home/anna/")
    host.inside("chown", "-R", "anna", "/home/anna/.ssh")
    words = ("setup.server", "--host", f"anna@127.0.0.1:{host.port}", "--yes")
    refused = ready.app.run(*words)
    assert (refused.code, refused.err.count("error: ")) == (5, 1), refused.text
    assert "may not become root without a password" in refused.err
    host.inside("sh", "-c", "echo 'anna ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/anna")
    ran = ready.app.run(*words)
    assert (ran.code, "nothing to change" in ran.out) == (0, True), ran.text


def test_ports_that_docker_publishes_are_not_reached_from_outside(ready: Server) -> None:
    ready.assert_closed()


def test_rules_that_shut_us_out_go_back_by_themselves(
    ready: Server, made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in ((steps, "CONFIRM", 4.0), (link, "CONNECT", 1.0)):
        monkeypatch.setattr(module, name, value)
    before, address = ready.rules(), f"root@{ready.host.address}"
    context = made.context(
        hosts=[address],
        host_keys={ready.host.address: ready.host.fingerprint},
        ssh_key=f"file:{ready.host.folder / 'key'}",
    )
    try:
        with pytest.raises(
            ConnectionFailed, match="not reached through the new firewall rules"
        ) as caught:
            steps.close(context, address, 1)
    finally:
        for each in reached._known.values():
            each.close()
    assert "SSH server" in caught.value.hint
    assert eventually(lambda: ready.host.ssh("true").returncode == 0, 30)
    assert eventually(lambda: ready.rules() == before, 30)
    assert ready.setup("--dry-run")[1].startswith("nothing to change")
    assert ready.host.inside("sh", "-c", "ls /etc/invops | grep -c pending", check=False) == "0\n"


def test_deploy_of_the_user_answers_with_the_certificate(deployed: Server) -> None:
    answer = deployed.get("/health", tls=True)
    assert (
        answer.startswith("HTTP/1.1 200") and deployed.app.git("rev-parse", "HEAD")[:12] in answer
    )
    redirect = deployed.get("/health?a=b", tls=False)
    assert redirect.startswith("HTTP/1.1 308")
    assert f"location: https://{deployed.domain}/health?a=b" in redirect
    ran = deployed.app.run("drift")
    assert ran.code == 0, ran.text


def test_certificate_of_another_server_comes_without_a_reload(deployed: Server) -> None:
    def workers() -> str:
        return deployed.host.inside("pgrep", "-x", "haproxy")

    def certificate() -> bytes | None:
        with deployed.certificate() as connection:
            return connection.getpeercert(binary_form=True)

    first, before = certificate(), workers()
    deployed.app.edit("ops.toml", deployed.acme.url, deployed.acme.other)
    code, text = deployed.setup("--yes")
    assert code == 0, text
    assert certificate() != first
    assert workers() == before
    # What the timer starts; nothing is due, and the proxy gets what there is.
    (timer,) = deployed.host.inside("sh", "-c", f"cd {UNITS} && echo invops-*.timer").split()
    assert deployed.host.inside("systemctl", "is-active", timer) == "active\n"
    second = certificate()
    proxy = f"{deployed.base}/proxy/certificate.pem"
    deployed.host.inside("cp", proxy, "/tmp/right.pem")
    deployed.host.inside("sh", "-c", f"echo lost > {proxy}")
    deployed.host.inside("systemctl", "start", timer.replace(".timer", ".service"))
    assert deployed.host.inside("cat", proxy) == deployed.host.inside("cat", "/tmp/right.pem")
    assert certificate() == second


def test_certificate_that_is_refused_is_one_line_with_the_reason(deployed: Server) -> None:
    deployed.app.edit("ops.toml", f'"{deployed.domain}"', '"nobody.example.invalid"')
    code, text = deployed.setup("--yes")
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(errors) == 1, text
    assert "no certificate for nobody.example.invalid" in errors[0]
    assert "no such host" in errors[0] or "DNS" in errors[0], errors
    deployed.app.git("checkout", "--quiet", "ops.toml")
    assert deployed.get("/health", tls=True).startswith("HTTP/1.1 200")


def test_placeholder_is_not_trusted_and_the_proxy_starts_with_it(deployed: Server) -> None:
    path = Path(deployed.base) / "proxy" / "certificate.pem"
    deployed.host.inside("rm", str(path))
    deployed.app.release()
    proxy = deployed.host.inside("docker", "ps", "--quiet", "--filter=name=invops-proxy").strip()
    deployed.host.inside("docker", "rm", "--force", proxy)
    ran = deployed.app.deploy()
    assert ran.code == 0, ran.text
    with pytest.raises(ssl.SSLCertVerificationError):
        deployed.get("/health", tls=True)
    code, text = deployed.setup("--yes")
    assert code == 0, text
    assert deployed.get("/health", tls=True).startswith("HTTP/1.1 200")
