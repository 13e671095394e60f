"""What may leave the process."""

from __future__ import annotations

import threading

import pytest

from ops.kernel import guard
from ops.kernel.errors import EffectRefused
from ops.kernel.guard import Mode


def test_changes_are_allowed_outside_of_tasks() -> None:
    assert guard.may_change()
    guard.effect("write a file")


@pytest.mark.parametrize(
    ("mode", "named"), [(Mode.DRY_RUN, "a dry run"), (Mode.READ, "a read-only task")]
)
def test_an_effect_is_refused_with_what_it_would_have_done(mode: Mode, named: str) -> None:
    with guard.scope(mode), pytest.raises(EffectRefused) as caught:
        guard.effect("write /etc/x")
    assert caught.value.what == f"refused in {named}: write /etc/x"
    assert caught.value.exit_code == 5


def test_the_mode_ends_with_its_block_also_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), guard.scope(Mode.DRY_RUN):
        raise ZeroDivisionError
    assert guard.mode() is Mode.CHANGE


@pytest.mark.parametrize("outer", [Mode.DRY_RUN, Mode.READ])
@pytest.mark.parametrize("inner", list(Mode))
def test_nothing_inside_makes_it_less_strict(outer: Mode, inner: Mode) -> None:
    with guard.scope(outer):
        with guard.scope(inner):
            assert guard.mode() is outer
        assert guard.mode() is outer


def test_it_holds_for_every_thread() -> None:
    refused = []

    def work() -> None:
        try:
            guard.effect("write a file")
        except EffectRefused:
            refused.append(True)

    with guard.scope(Mode.DRY_RUN):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert refused == [True]
