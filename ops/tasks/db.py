"""db.init, db.status, db.migrate, db.lint, db.extensions, db.schema: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import ADMIN, READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report
