"""The program, writing down each question that it asks a host: `HOST VERB` a line in the file of COUNTED."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ops import program
from ops.hosts.machine import Machine


def counting(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that asks, which notes it first."""

    def noted(machine: Machine, context: object, verb: str, *rest: Any, **named: Any) -> Any:
        before = machine.round_trips
        try:
            return ask(machine, context, verb, *rest, **named)
        finally:
            assert machine.round_trips > before, "the machine counts it as well"
            with open(os.environ["COUNTED"], "a", encoding="utf-8") as file:
                file.write(f"{machine.name} {verb}\n")

    return noted


if __name__ == "__main__":
    Machine._ask = counting(Machine._ask)  # type: ignore[method-assign]
    program.main()
