"""The lock of an environment, for people: who holds it, and taking it away."""

from __future__ import annotations

import time

from ops.hosts import envlock
from ops.kernel.context import Context
from ops.kernel.lock import Holder
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from ops.kernel.steps import Done, step


def status(context: Context) -> Report:
    """Report who holds the lock."""
    name = context.settings.name
    holder = envlock.of(context).holder()
    if holder is None:
        return Report(f"{name} is not locked", data={"locked": False})
    facts = {
        "holder": holder.owner,
        "task": holder.task,
        "process": f"{holder.pid} on {holder.host}, {'alive' if holder.alive else 'dead'}",
        "since": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since)),
    }
    data = {"locked": True, **facts, "alive": holder.alive, "fencing": holder.fencing}
    return Report(f"{name} is locked", facts=facts, data=data)


def release(context: Context) -> Plan:
    """Plan to take the lock away from its holder."""
    name = context.settings.name
    holder = envlock.of(context).holder()
    if holder is None:
        return Plan("lock release", name, "lock", (), nothing=f"{name} is not locked")
    return Plan(
        "lock release",
        name,
        f"lock held by {holder.owner} ({holder.task}, process {holder.pid})",
        (break_lock.step(fencing=holder.fencing),),
        {"fencing": holder.fencing},
        {
            "effect": (
                "the holder stops before its next step" if holder.alive else "the holder is dead"
            )
        },
        destructive=holder.alive,
    )


def _already(context: Context, fencing: int) -> Done | None:
    holder = envlock.of(context).holder()
    return None if _same(holder, fencing) else Done("somebody else holds it now, or nobody")


@step(title="Take the lock away", limit=30, check=_already)
def break_lock(context: Context, fencing: int) -> None:
    """Take the lock away from the holder that was shown."""
    envlock.of(context).break_()


def _same(holder: Holder | None, fencing: int) -> bool:
    return holder is not None and holder.fencing == fencing
