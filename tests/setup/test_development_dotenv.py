"""`.env.local` as text: what is read, what is appended, what is refused."""

from __future__ import annotations

import subprocess

import pytest

from ops.kernel.errors import ConfigurationError
from ops.setup.dotenv import Line, appended, parse, quoted

VALUES = [
    "",
    "plain",
    "postgresql://u:p%40@/shop?host=/tmp/run",
    "two words",
    " around ",
    "it's",
    'say "hello"',
    'it\'s "both"',
    "first\nsecond",
    "it's\nboth\tlines\\n",
    "a#b",
    "a # b",
    "$HOME and ${HOME} and `id` and $(id)",
    "back\\slash\\",
    "it's $HOME \\ `id`",
    "~/folder",
    "a&b;c|d",
    "ä ☕",
    "=",
]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_written_is_read_again(value: str) -> None:
    assert parse(appended(b"", [Line("NAME", value)]), ".env.local") == {"NAME": value}


@pytest.mark.parametrize("value", [each for each in VALUES if "\\n" not in each])
def test_a_shell_reads_the_same(value: str) -> None:
    script = f"{appended(b'', [Line('NAME', value)]).decode()}printf %s \"$NAME\""
    answer = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert answer.stdout.decode() == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1", {"A": "1"}),
        ("A=1\r\nB='x'\r\n", {"A": "1", "B": "x"}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("# comment\n\n  # another\nA=1 # why\n", {"A": "1"}),
        ("export A=1\n  export\tB = 2\n", {"A": "1", "B": "2"}),
        ("A=a b  c  \n", {"A": "a b  c"}),
        ("A=a#b\n", {"A": "a#b"}),
        ("A=\nB= # nothing\n", {"A": "", "B": ""}),
        ("A='one\ntwo' # why\nB=3\n", {"A": "one\ntwo", "B": "3"}),
        ('A="one\\ntwo \\"x\\" \\$B \\\\"\n', {"A": 'one\ntwo "x" $B \\'}),
        ("A='$B'\nC=$B\n", {"A": "$B", "C": "$B"}),
        ("A=it's\n", {"A": "it's"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("", {}),
    ],
)
def test_reads_what_people_write(text: str, expected: dict[str, str]) -> None:
    assert parse(text.encode(), ".env.local") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A=1\noops\n", ".env.local:2 is not NAME=value"),
        (b"1A=1\n", ".env.local:1 is not NAME=value"),
        (b"A='one\ntwo\n", ".env.local:1 has a quote without an end"),
        (b"B=1\nA='x' y\n", ".env.local:2 has text after the closing quote"),
        (b"A=\xff\n", ".env.local is not text in UTF-8"),
        (b"A=1\0\n", ".env.local holds a NUL character"),
    ],
)
def test_refuses_with_the_line(content: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(content, ".env.local")
    assert caught.value.what == message
    assert caught.value.hint


@pytest.mark.parametrize("before", [b"", b"A=1\n", b"A=1", b"# only a comment"])
def test_what_is_there_stays_in_front(before: bytes) -> None:
    lines = [Line("B", "two words"), Line("C", "", "fill me in")]
    after = before + appended(before, lines)
    assert after.startswith(before)
    assert after.endswith(b"B='two words'\n# fill me in\nC=\n")
    assert parse(after, ".env.local") == {**parse(before, ""), "B": "two words", "C": ""}


def test_plain_values_need_no_quotes() -> None:
    assert quoted("postgresql://u:p@/shop?host=/tmp/run") == "postgresql://u:p@/shop?host=/tmp/run"
