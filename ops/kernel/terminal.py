"""What a person sees of a run: one line for each step, with a clock while it works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from ops.kernel import redact, report, steps
from ops.kernel.events import Event
from ops.kernel.plan import Plan

MARKS = {
    "step.done": ("✓", "green"),
    "step.skipped": ("·", "dim"),
    "step.failed": ("✗", "red"),
    "step.undone": ("↩", "yellow"),
    "step.undo_failed": ("✗", "red"),
}


class Terminal:
    """Observer that draws on a terminal.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, no_color=not report.colours(stream))
        self._lock = threading.Lock()
        self._running: dict[str, tuple[str, float]] = {}
        self._live: Live | None = None

    def observe(self, event: Event) -> None:
        """Draw an event."""
        with self._lock:
            if event.kind in ("step.started", "step.undoing"):
                self._running[event.step] = (event.message, time.monotonic())
                self._refresh(event.message)
            elif event.kind in ("progress", "note") and event.step in self._running:
                title, _ = self._running[event.step]
                self._refresh(f"{title}: {redact.CENTRAL.text(event.message)}")
            elif event.kind in MARKS:
                self._end(event)
            elif event.kind.startswith("run."):
                self._stop()  # a run that is left in the middle must give the cursor back

    def _refresh(self, message: str) -> None:
        renderable = Spinner("dots", text=Text(f"{message} "))
        if self._live is None:
            self._live = Live(
                renderable, console=self._console, transient=True, refresh_per_second=8
            )
            self._live.start()
        else:
            self._live.update(renderable)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _end(self, event: Event) -> None:
        title, since = self._running.pop(event.step, (event.message, time.monotonic()))
        if not self._running:
            self._stop()
        mark, style = MARKS[event.kind]
        seconds = time.monotonic() - since
        took = f"  {seconds:.1f} s" if seconds >= 0.1 else ""
        detail = event.data.get("note") or event.data.get("error") or ""
        dim = "dim" if event.kind == "step.skipped" else ""
        shown = (
            f"  {redact.CENTRAL.text(str(detail))}"
            if detail and event.kind != "step.failed"
            else ""
        )
        self._console.print(
            Text.assemble((f"{mark} ", style), (title, dim), (shown, "dim"), (took, "dim"))
        )


def show_plan(plan: Plan, stream: TextIO) -> None:
    """Print a plan as a table with the facts that a person confirms."""
    rows = [
        (str(number), step.title, step.when, _limit(step.limit), _undo(step))
        for number, step in enumerate(plan.steps, 1)
    ]
    title = f"{plan.operation} {plan.environment} on {plan.target}"
    report.print_table(report.Table(("#", "step", "when", "limit", "undo"), rows, title), stream)
    width = max((len(key) for key in plan.summary), default=0)
    for key, value in plan.summary.items():
        print(f"  {key:<{width}}  {redact.CENTRAL.text(value)}", file=stream)


def _limit(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 7200 else f"{seconds / 3600:g} h"


def _undo(step: Any) -> str:
    if not step.reversible:
        return "no"
    return "yes" if steps.find(step.action).undo else "–"  # noqa: RUF001


def observer(stream: TextIO, plain: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return the drawing observer on a terminal, `plain` elsewhere."""
    return Terminal(stream).observe if stream.isatty() else plain
