from __future__ import annotations

import pytest

from ops.backup.engines.mysql_text import Text
from ops.kernel.errors import StepFailed

HEAD = b"-- MariaDB dump 10.19\n\n"
FOOT = b"\n-- Dump completed on 2026-11-21 13:06:23\n"


def section(table: bytes, *statements: bytes) -> bytes:
    keys = b"/*!40000 ALTER TABLE `%s` %s KEYS */;\n"
    body = b"".join(each + b"\n" for each in statements)
    return (
        b"\nLOCK TABLES `%s` WRITE;\n" % table
        + keys % (table, b"DISABLE")
        + body
        + keys % (table, b"ENABLE")
        + b"UNLOCK TABLES;\n"
    )


def read(text: bytes, size: int) -> Text:
    made = Text()
    for start in range(0, len(text), size):
        made.feed(text[start : start + size])
    return made


CASES = {
    "no rows": ([], 0),
    "a row a line, as MariaDB writes": (
        [b"INSERT INTO `t` VALUES\n(1,'a'),\n(2,'b'),\n(3,NULL);"],
        3,
    ),
    "all rows in a line, as MySQL writes": (
        [b"INSERT INTO `t` VALUES (1,'a'),(2,'b'),(3,NULL);"],
        3,
    ),
    "with a list of columns": ([b"INSERT INTO `t` (`a`,`b`) VALUES (1,2),\n(2,3);"], 2),
    "several statements": (
        [b"INSERT INTO `t` VALUES\n(1);", b"INSERT INTO `t` VALUES\n(2),\n(3);"],
        3,
    ),
    "values that look like rows": (
        [b"INSERT INTO `t` VALUES\n('),('),\n('\\n(1),\\n(2)'),\n('INSERT INTO `t` VALUES (1)');"],
        3,
    ),
    "the same in a line": ([b"INSERT INTO `t` VALUES ('),('),('a),\\n(b'),('),(');"], 3),
    "escaped quotes and backslashes": (
        [rb"INSERT INTO `t` VALUES ('it\'s'),('\\'),('\\\'),(\\'),('\"),(');"],
        4,
    ),
    "names that hold quotes": (
        [b"INSERT INTO `t` (`a'b`,`),(`,`c``d'`) VALUES (1,'),('),(2,'x');"],
        2,
    ),
    "values that look like the end": (
        [b"INSERT INTO `t` VALUES\n('\\nUNLOCK TABLES;\\n'),\n('-- Dump completed');"],
        2,
    ),
    "empty strings": ([b"INSERT INTO `t` VALUES ('',''),('','');"], 2),
    "long values": (
        [b"INSERT INTO `t` VALUES ('" + b"x" * 5000 + b"',0x00FF),('" + b"\\\\" * 3000 + b"',1);"],
        2,
    ),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1_000_000])
@pytest.mark.parametrize("case", CASES)
def test_rows_are_counted_wherever_the_text_is_cut(case: str, size: int) -> None:
    statements, expected = CASES[case]
    text = HEAD + section(b"before", b"INSERT INTO `before` VALUES\n(1);")
    text += (
        section(b"t", *statements)
        + section(b"after", b"INSERT INTO `after` VALUES (1),(2);")
        + FOOT
    )
    found = read(text, size)
    assert found.tables == {"before": 1, "t": expected, "after": 2}
    assert found.fault == ""


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_code_is_not_read_as_data(size: int) -> None:
    code = (
        b"\nDELIMITER ;;\nCREATE PROCEDURE `p`()\nbegin\n/*\nLOCK TABLES `x` WRITE;\n*/\n"
        b"INSERT INTO `t` VALUES\n(1),\n(2);\nend\n;;\nDELIMITER ;\n"
    )
    found = read(HEAD + code + section(b"t") + code + FOOT, size)
    assert found.tables == {"t": 0}
    assert found.fault == ""


@pytest.mark.parametrize(
    ("written", "name"), [(b"we``ird(' \"x", "we`ird(' \"x"), ("ü".encode(), "ü")]
)
def test_names_of_tables_are_those_of_the_server(written: bytes, name: str) -> None:
    text = HEAD + section(written, b"INSERT INTO `%s` VALUES\n(1),\n(2);" % written) + FOOT
    assert read(text, 10).tables == {name: 2}


def test_every_cut_is_found() -> None:
    whole = HEAD + section(b"t", b"INSERT INTO `t` VALUES\n(1,'a');") + FOOT
    assert read(whole, 50).fault == ""
    for end in range(len(whole)):
        assert read(whole[:end], 50).fault, whole[:end]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "its last line is not -- Dump completed"),
        (HEAD, "its last line is not -- Dump completed"),
        (HEAD + FOOT + b"and more\n", "its last line is not -- Dump completed"),
        (HEAD + b"\nLOCK TABLES `t` WRITE;\nINSERT INTO" + FOOT, "it ends inside of table t"),
        (HEAD + b"\nDELIMITER ;;\nCREATE" + FOOT, "it ends inside of code"),
    ],
)
def test_fault_says_what_is_wrong(text: bytes, why: str) -> None:
    with pytest.raises(StepFailed, match="the dump is cut") as caught:
        read(text, 11).check("the dump")
    assert caught.value.why == why


def test_a_value_of_any_size_takes_no_memory() -> None:
    made = Text()
    made.feed(HEAD + b"\nLOCK TABLES `t` WRITE;\nINSERT INTO `t` VALUES ('")
    for _ in range(200):
        made.feed(b"x" * 9_999 + b"\\")
        made.feed(b"'" + b"),(" * 3_333)
        assert len(made._left) < 20_000
    made.feed(b"'),(2);\nUNLOCK TABLES;\n" + FOOT)
    assert made.tables == {"t": 2}
    assert made.fault == ""
