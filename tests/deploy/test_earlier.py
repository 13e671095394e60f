from __future__ import annotations

import pytest

from ops.deploy import earlier
from ops.kernel.errors import ConfigurationError
from tests.deploy.conftest import Contexts, release, store


@pytest.mark.parametrize(
    ("serving", "to", "expected"),
    [
        ("c", "", "b"),
        ("b", "", "a"),
        ("", "", "c"),
        ("gone", "", "c"),
        ("c", "a", "a"),
        ("c", "aa", "a"),
        ("b", "c", "c"),
    ],
)
def test_release_before(context_of: Contexts, serving: str, to: str, expected: str) -> None:
    context = context_of()
    failed = release("x", 4, good=False)
    store(context, release("a", 1), release("b", 2), release("c", 3), failed)
    assert earlier.choose(context.settings, serving, to).id == expected


@pytest.mark.parametrize(("serving", "to"), [("a", ""), ("c", "x"), ("c", "0123"), ("c", "a\n")])
def test_no_release_before(context_of: Contexts, serving: str, to: str) -> None:
    context = context_of()
    store(context, release("a", 1), release("c", 3), release("x", 4, good=False))
    with pytest.raises(ConfigurationError, match=r"no release before|is not a good release"):
        earlier.choose(context.settings, serving, to)
