"""Migrations as SQL text: SQL files as they are, Alembic's revisions by its offline mode."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr

from ops.database.lint import Script
from ops.database.migrations import alembic
from ops.database.migrations.model import Migration, Source
from ops.kernel.context import Context

# What `alembic upgrade --sql` writes before each revision, and its own book-keeping and transactions.
_REVISION: Final = re.compile(r"^-- Running upgrade .*-> (\S+)[^\S\n]*\n", re.MULTILINE)
_OWN: Final = re.compile(
    r"^(?:BEGIN;|COMMIT;|(?:INSERT INTO|UPDATE|DELETE FROM) alembic_version .*)$", re.MULTILINE
)


def scripts(
    context: Context, source: Source, url: SecretStr, wanted: Sequence[Migration]
) -> tuple[list[Script], str]:
    """Return migrations as SQL, in their order, with the reason why some are missing.

    Args:
        context: Surroundings.
        source: Where they are.
        url: The database, which Alembic's configuration may want to read; it is not asked.
        wanted: The migrations.
    """
    if source.kind == "sql":
        return [_script(each, each.text) for each in wanted], ""
    if not wanted:
        return [], ""
    output, why = alembic.statements(context, source, url)
    parts = _REVISION.split(output)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    texts = {name: _OWN.sub("", text).strip() for name, text in pairs}
    found = [_script(each, texts[each.id]) for each in wanted if each.id in texts]
    return found, why


def _script(each: Migration, text: str) -> Script:
    return Script(each.file, text, each.transactional, each.breaks_old)
