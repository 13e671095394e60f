"""The certificate of an environment: got from an ACME server by certbot, given to the proxy, renewed twice a day.

The proxy stays on port 80 and answers the ACME server's question itself, from a map that is filled at run time; before
the first deploy there is no proxy, and certbot listens there for a moment. The renewal needs nobody: a timer of the
system runs this module from the archive that `inv setup.server` left on the server. What the proxy has is compared with
what certbot has each time, so a renewal that was killed halfway is finished by the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, commands, proxy
from ops.hosts.agent.errors import Refused

FOLDER = Path("/etc/invops")
UNITS = Path("/etc/systemd/system")
CRON = Path("/etc/cron.d")
SOON = 7 * 24 * 3600
"""Seconds before its end at which a certificate should long have been renewed."""
LIMIT = 300.0
_PYTHON = "/usr/bin/python3"
_GOOD = '"ok": true'
"""What the answer of a verb that did not fail begins with, see __main__."""
_REPORTED = "Detail:"
_UNEXPECTED = "An unexpected error occurred:"


def differs(wanted: dict[str, Any]) -> str:
    """Say what is wrong with the certificate or its renewal.

    Args:
        wanted: `name` of application and environment; `settings` of `renew`; `agent`: `file` that was sent and its
            `sha256`; `authority`: content of the file that the settings name, empty for none.
    """
    settings = wanted["settings"]
    agent = Path(wanted["agent"]["file"])
    if not agent.exists() or _hash(agent) != wanted["agent"]["sha256"]:
        return "the renewal is missing or of another version"
    for path, content in _files(wanted).items():
        if not path.exists() or path.read_text("utf-8") != content:
            return "the renewal is missing or set otherwise"
    if not _chain(settings).exists():
        return "there is none"
    ends = ["openssl", "x509", "-noout", "-checkend", str(SOON), "-in", str(_chain(settings))]
    if commands.run(ends, check=False).returncode != 0:
        return "it ends within a week"
    if _issuer(settings) != settings["server"]:
        return f"it is of {_issuer(settings)}"
    there = Path(settings["base"]) / "proxy" / proxy.CERTIFICATE
    if not there.exists() or there.read_text("utf-8") != _joined(settings):
        return "the proxy has another one"
    return ""


def arrange(wanted: dict[str, Any]) -> None:
    """Get the certificate, give it to the proxy, and let the system renew it."""
    for path, content in _files(wanted).items():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        base.write(path, content, 0o600 if path.parent == FOLDER else 0o644)
    if commands.SYSTEMD.exists():
        timer = f"{_unit(wanted)}.timer"
        commands.run(["systemctl", "daemon-reload"], 60.0)
        commands.run(["systemctl", "enable", "--now", timer], 60.0)
    renew(wanted["settings"])


def renew(arguments: dict[str, Any]) -> dict[str, Any]:
    """Get or renew the certificate where it is time, and let the proxy have it. Run by the system, without a lease.

    Args:
        arguments: `base` folder of the environment; `domain`; `server`: URL of the ACME server's directory; `email`,
            may be empty; `authority`: file that its own certificate is checked with, empty for the system's;
            `folder` of certbot; `hook`: command that runs a verb of this module.

    Raises:
        Refused: The ACME server or certbot refuses; with its reason.
    """
    folder = Path(arguments["folder"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    domain = arguments["domain"]
    command = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--cert-name", domain]
    command += ["--domain", domain, "--server", arguments["server"], "--keep-until-expiring"]
    for kind in ("config", "work", "logs"):
        command += [f"--{kind}-dir", str(folder / kind)]
    email = arguments["email"]
    command += ["--email", email] if email else ["--register-unsafely-without-email"]
    if _issuer(arguments) not in ("", arguments["server"]):
        command.append("--force-renewal")
    command += _way(arguments)
    trust = {"REQUESTS_CA_BUNDLE": arguments["authority"]} if arguments["authority"] else {}
    done = commands.run(command, LIMIT, check=False, environment=trust)
    if done.returncode != 0:
        raise Refused(
            "failed",
            f"no certificate for {domain}",
            _reason(done.stdout + done.stderr),
            f"{domain} must lead to this server, port 80; the whole story: {folder}/logs/letsencrypt.log",
        )
    _give(arguments)
    return {}


def answer(arguments: dict[str, Any]) -> dict[str, Any]:
    """Let the proxy answer the ACME server's question; called by certbot, which says it in variables."""
    token, text = os.environ["CERTBOT_TOKEN"], os.environ["CERTBOT_VALIDATION"]
    proxy.of(arguments).answer(token, text)
    return {}


def forget(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the answer away again; called by certbot."""
    proxy.of(arguments).answer(os.environ["CERTBOT_TOKEN"], "")
    return {}


def placeholder() -> str:
    """Return a certificate that nobody trusts: without any, the proxy would not start."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"]
    made += ["-subj", "/CN=no certificate yet", "-keyout", "-", "-out", "-"]
    return _without_empty_lines(commands.run(made).stdout)


def _way(arguments: dict[str, Any]) -> list[str]:
    if not proxy.of(arguments).answers_challenges():
        return ["--standalone"]
    hook = arguments["hook"]
    return [
        *("--manual", "--preferred-challenges", "http"),
        *("--manual-auth-hook", hook.format(verb="certificate.answer")),
        *("--manual-cleanup-hook", hook.format(verb="certificate.forget")),
    ]


def _give(arguments: dict[str, Any]) -> None:
    owner = base.of(arguments).stat()
    front = proxy.of(arguments)
    front.folder.mkdir(mode=0o755, exist_ok=True)
    # Before the certificate is there, after which nobody looks: a deploy writes into the folder.
    os.chown(front.folder, owner.st_uid, owner.st_gid)
    there = front.folder / proxy.CERTIFICATE
    pem = _joined(arguments)
    if not there.exists() or there.read_text("utf-8") != pem:
        front.certify(pem)
    os.chown(there, owner.st_uid, owner.st_gid)


def _files(wanted: dict[str, Any]) -> dict[Path, str]:
    """Return what the renewal is made of, by path."""
    settings, name = wanted["settings"], wanted["name"]
    about = FOLDER / f"{name}.certificate.json"
    command = settings["hook"].format(verb="certificate.renew")
    found = {about: json.dumps(settings, sort_keys=True) + "\n"}
    if wanted["authority"]:
        found[Path(settings["authority"])] = wanted["authority"]
    if not commands.SYSTEMD.exists():
        minute = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 60
        found[CRON / _unit(wanted)] = f"{minute} 3,15 * * * root {command} | grep -vF '{_GOOD}'\n"
        return found
    command += f" | tee /dev/stderr | grep -qF '{_GOOD}'"
    unit = UNITS / _unit(wanted)
    found[unit.with_name(f"{unit.name}.service")] = (
        f"[Unit]\nDescription=Certificate of {name}\nAfter=network-online.target docker.service\n\n"
        f"[Service]\nType=oneshot\nExecStart=/bin/sh -c {shlex.quote(command)}\n"
    )
    found[unit.with_name(f"{unit.name}.timer")] = (
        f"[Unit]\nDescription=Renewal of the certificate of {name}\n\n"
        "[Timer]\nOnCalendar=*-*-* 03,15:00\nRandomizedDelaySec=4h\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    return found


def _unit(wanted: dict[str, Any]) -> str:
    return f"invops-certificate-{wanted['name']}"


def _chain(settings: dict[str, Any]) -> Path:
    return Path(settings["folder"], "config", "live", settings["domain"], "fullchain.pem")


def _issuer(settings: dict[str, Any]) -> str:
    """Return the ACME server that gave the certificate, empty for none."""
    about = Path(settings["folder"], "config", "renewal", f"{settings['domain']}.conf")
    if not about.exists():
        return ""
    lines = [line.partition(" = ") for line in about.read_text("utf-8").splitlines()]
    return next((value for key, _, value in lines if key == "server"), "")


def _joined(settings: dict[str, Any]) -> str:
    chain = _chain(settings)
    return _without_empty_lines(
        chain.with_name("privkey.pem").read_text("utf-8") + chain.read_text("utf-8")
    )


def _without_empty_lines(pem: str) -> str:
    return "".join(f"{line}\n" for line in pem.splitlines() if line.strip())


def _reason(output: str) -> str:
    """Return what the ACME server said, or certbot, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line.partition(_REPORTED)[2].strip() for line in lines if line.startswith(_REPORTED)]
    if told:
        return "; ".join(dict.fromkeys(told))
    if _UNEXPECTED in lines[:-1]:
        return lines[lines.index(_UNEXPECTED) + 1]
    kept = [line for line in lines if not line.startswith(("Saving debug log", "Ask for help"))]
    return kept[-1] if kept else "certbot gave no reason"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
