from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.kernel.settings import lines

TEXT = '''\
# comment with = and [brackets]
top = 1
"quoted.key" = "a # no comment"
'literal key' = 'x'

[one]
dotted.inner = true
"one".spaced . out = 2   # comment

[ two . "three" ]
many = [
    "first", # [not a table]
    { inline = 1, deep = { er = [1, 2] } },

    """
long ]
""", "after",
]
multi = """
[not.a.table]
key = \\"""no end\\"""
ends with two quotes"""""
literal = \'\'\'
x = 'y'\'\'\'
when = 1979-05-27 07:32:00
after = 1

[[list]]
name = "a"
[[list.sub]]
x = 1
[list.table]
y = 2
[[list]]
name = "b"
[[list.sub]]
x = 3
[[list.sub]]
x = 4
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("quoted.key",), 3),
        (("literal key",), 4),
        (("one",), 6),
        (("one", "dotted"), 7),
        (("one", "dotted", "inner"), 7),
        (("one", "one", "spaced", "out"), 8),
        (("two",), 10),
        (("two", "three"), 10),
        (("two", "three", "many"), 11),
        (("two", "three", "many", 0), 12),
        (("two", "three", "many", 1, "inline"), 13),
        (("two", "three", "many", 1, "deep", "er", 1), 13),
        (("two", "three", "many", 2), 15),
        (("two", "three", "many", 3), 17),
        (("two", "three", "multi"), 19),
        (("two", "three", "literal"), 23),
        (("two", "three", "when"), 25),
        (("two", "three", "after"), 26),
        (("list",), 28),
        (("list", 0, "name"), 29),
        (("list", 0, "sub", 0, "x"), 31),
        (("list", 0, "table", "y"), 33),
        (("list", 1, "name"), 35),
        (("list", 1, "sub", 0, "x"), 37),
        (("list", 1, "sub", 1, "x"), 39),
    ],
)
def test_each_key_has_its_line(path: lines.KeyPath, line: int) -> None:
    assert lines.index(TEXT)[path] == line


def test_a_missing_key_has_the_line_of_the_nearest_table_around_it() -> None:
    index = lines.index(TEXT)

    assert lines.nearest(index, ("one", "absent", "key")) == 6
    assert lines.nearest(index, ("two", "three", "many", 9)) == 11
    assert lines.nearest(index, ("absent",)) == 0
    assert lines.nearest(index, ()) == 0


@pytest.mark.parametrize("text", ["", "# only a comment", "\n\n", "a = 1"])
def test_small_texts_are_read(text: str) -> None:
    assert lines.index(text) == {(key,): 1 for key in tomllib.loads(text)}


@pytest.mark.parametrize("rest", ["= 3", "b", "[", "b = [", "b = {", '"b'])
def test_what_is_not_understood_ends_the_index(rest: str) -> None:
    assert lines.index(f"a = 1\n{rest}")[("a",)] == 1


KEYS = st.sampled_from(["a", "b-c", "D_1", "12", '"q"', '"q.\\"]"', "'l#='", '""'])
BREAKS = st.sampled_from(["", "\n", " # ] } ,\n", "\n\n\t"])
SCALARS = st.sampled_from(
    [
        "1",
        "-1.5e3",
        "true",
        "nan",
        "1979-05-27 07:32:00",
        "1979-05-27T07:32:00Z",
        '"x"',
        '"a\\"]#"',
        "'\\'",
        '"""a\n]b\\"""\n"""',
        '"""two""\n"""""',
        "'''\n[c]\n''x'''",
        '""',
    ]
)


def _list(items: list[str], gaps: list[str]) -> str:
    parts = [f"{gaps[at % len(gaps)]}{item}{gaps[-1]}" for at, item in enumerate(items)]
    return "[" + ",".join(parts) + (gaps[0] if gaps else "") + "]"


def _inline(pairs: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + " }"


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.builds(
        _list, st.lists(inner, max_size=3), st.lists(BREAKS, min_size=1, max_size=3)
    )
    | st.builds(_inline, st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
PAIRS = st.dictionaries(KEYS, st.tuples(VALUES, BREAKS), max_size=4)
HEADERS = st.lists(
    st.tuples(st.lists(KEYS, min_size=1, max_size=3), st.booleans(), PAIRS), max_size=5
)


def _paths(value: Any, path: lines.KeyPath = ()) -> set[lines.KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = {path} if path else set()
    for key, each in items:
        nested = isinstance(each, dict | list)
        found |= _paths(each, (*path, key)) if nested else {(*path, key)}
    return found


def _text(top: Any, tables: Any) -> str:
    text = "".join(f"{key} = {value}\n{gap}" for key, (value, gap) in top.items())
    for parts, many, pairs in tables:
        brackets = ("[[", "]]") if many else ("[ ", " ]")
        text += f"{brackets[0]}{' . '.join(parts)}{brackets[1]} # header\n"
        text += "".join(f"  {key}\t=  {value}\n{gap}" for key, (value, gap) in pairs.items())
    return text


@given(PAIRS, HEADERS)
def test_it_finds_exactly_the_keys_that_the_standard_library_finds(top: Any, tables: Any) -> None:
    text = _text(top, tables)
    try:
        expected = _paths(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return  # e.g. the same table twice

    assert set(lines.index(text)) == expected


@given(st.lists(st.tuples(BREAKS, VALUES), min_size=1, max_size=8))
def test_a_key_stands_in_the_line_that_it_says(parts: list[tuple[str, str]]) -> None:
    text, expected = "", {}
    for number, (gap, value) in enumerate(parts):
        text += gap if not gap or gap.endswith("\n") else gap + "\n"
        expected[f"key{number}"] = text.count("\n") + 1
        text += f"key{number} = {value}\n"

    index = lines.index(text)

    assert {key: index[(key,)] for key in expected} == expected
