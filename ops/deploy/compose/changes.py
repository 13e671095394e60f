"""What a new document changes on a host, in words for the plan: names and hashes, never a value."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.deploy.compose import haproxy, slotted

if TYPE_CHECKING:
    from ops.deploy.compose.derived import Content

_STARTED = "started: it does not run"


@dataclass(frozen=True)
class Changes:
    """What happens on a host.

    Args:
        slot: Which slot is filled, with which release.
        switched: Services that get a new copy in that slot, with the first characters of their image's digest.
        kept: Other services that run on untouched.
        changed: Other services that are recreated because their own definition changed.
        new: Other services that are started for the first time.
        gone: Services that the file has no more; they end when no slot needs them.
        volumes: Volumes that are made.
        networks: Networks that are made.
        dropped: What of the user's file does not hold here.
    """

    slot: str
    switched: Mapping[str, str]
    kept: tuple[str, ...]
    changed: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    dropped: tuple[str, ...]

    def lines(self, running: Collection[str]) -> Iterator[str]:
        """Yield one line a fact.

        Args:
            running: Names of the services that run there now.
        """
        for name, image in self.switched.items():
            yield f"{name}: new copy in slot {self.slot}, image {image}"
        for name in self.changed:
            note = "; no requests are answered for a moment" if name == haproxy.NAME else ""
            known = f"recreated because its definition changed{note}"
            yield f"{name}: {known if name in running else _STARTED}"
        yield from (f"{name}: started for the first time" for name in self.new)
        yield from (f"{name}: ends when no slot needs it any more" for name in self.gone)
        for name in self.kept:
            yield f"{name}: {'untouched' if name in running else _STARTED}"
        yield from (f"volume {name}: made" for name in self.volumes)
        yield from (f"network {name}: made" for name in self.networks)
        yield from self.dropped


def compare(
    present: Mapping[str, Any],
    document: Mapping[str, Any],
    switched: Sequence[str],
    content: Content,
    dropped: Sequence[str],
) -> Changes:
    """Compare what a host runs with what it is to run.

    Args:
        present: Document of now, empty for none.
        document: The new one.
        switched: Names of the switched services.
        content: What comes into which slot.
        dropped: Words about what of the user's file does not hold.
    """
    there, new = _others(present), _others(document)
    gone = (document.get("x-invops") or {}).get("gone") or {}
    return Changes(
        slot=content.slot,
        switched={name: _short(content.images[name]) for name in switched},
        kept=tuple(name for name in new if there.get(name) == new[name] and name not in gone),
        changed=tuple(name for name in new if name in there and there[name] != new[name]),
        new=tuple(name for name in new if name not in there),
        gone=tuple(name for name in there if name not in new or name in gone),
        volumes=_made(present, document, "volumes"),
        networks=_made(present, document, "networks"),
        dropped=tuple(dropped),
    )


def _others(document: Mapping[str, Any]) -> dict[str, Any]:
    services = document.get("services") or {}
    return {
        name: services[name]
        for name in sorted(services)
        if slotted.SLOT not in (services[name].get("labels") or {})
    }


def _made(present: Mapping[str, Any], document: Mapping[str, Any], section: str) -> tuple[str, ...]:
    there, new = present.get(section) or {}, document.get(section) or {}
    return tuple(
        name for name in sorted(new) if name not in there and not new[name].get("external")
    )


def _short(image: str) -> str:
    """Return the beginning of an image's digest or id."""
    return image.rpartition("sha256:")[2][:12] if "sha256:" in image else image
