"""The documentation says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops.kernel import exits
from tests.docs import commands

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
ROWS = {
    f"{letter}{number}"
    for letter, last in zip("ABCDEFGH", (18, 5, 14, 6, 4, 6, 8, 4), strict=True)
    for number in range(1, last + 1)
}


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    rows = dict(
        re.findall(
            r"^\| (\d+) \| (.+) \|$", (ROOT / "docs/exit-codes.md").read_text(), re.MULTILINE
        )
    )
    assert rows == {str(code): text for code, text in exits.MEANINGS.items()}


def test_the_page_of_commands_is_current() -> None:
    written = (ROOT / "docs/commands.md").read_text()
    assert written == commands.text(), "python -m tests.docs.commands > docs/commands.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_row_of_the_ledger_has_a_state_and_what_is_done_names_tests_that_exist() -> None:
    rows = re.findall(
        r"^\| ([A-H]\d+) \| [^|]+ \| (done|partly|open) \| ([^|]*) \|$",
        (ROOT / "docs/features.md").read_text(),
        re.MULTILINE,
    )
    assert {identifier for identifier, _, _ in rows} == ROWS
    for identifier, state, proof in rows:
        tests = re.findall(r"`(tests/[^`]+)`", proof)
        assert tests or state == "open", identifier
        assert [test for test in tests if not (ROOT / test).exists()] == [], identifier


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_extending_run(number: int) -> None:
    text = (ROOT / "docs/extending.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    subprocess.run([sys.executable, "-c", blocks[number]], cwd=ROOT, check=True)
