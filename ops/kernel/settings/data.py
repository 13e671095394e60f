"""What an application's data is: database, migrations, backups, clean-up, maintenance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ops.kernel.settings.model import Model
from ops.kernel.settings.values import (
    Age,
    Count,
    DatabaseName,
    Extension,
    Filled,
    Inside,
    Kept,
    Percent,
    Rows,
    Seconds,
    Text,
    VariableName,
)


class Database(Model):
    """The database of the application."""

    engine: Literal["postgres", "mysql"]
    """Kind of server: PostgreSQL, or MySQL and MariaDB (which need a `database_url`)."""
    variable: VariableName = "DATABASE_URL"
    """Variable with the URL for services, builds and migrations."""
    name: DatabaseName = ""
    """Name of the database, the environment's name is appended; default: `app.name`."""
    schemas: tuple[DatabaseName, ...] = Field(default=("public",), min_length=1)
    """Schemas that hold the application's tables, the main one first."""
    extensions: tuple[Extension, ...] = ()
    """Extensions it needs: "vector", with version "pg_trgm@1.6", in a schema "extensions.pg_trgm@1.6"."""
    models: Text = ""
    """SQLAlchemy metadata that `inv db.schema` compares, as "package.module:Base.metadata"."""


class Migrations(Model):
    """Migrations of the application's schema."""

    kind: Literal["alembic", "sql"]
    """Tool: Alembic, or a folder of `<version>_name.sql` files."""
    path: Inside
    """The alembic.ini, or the folder of SQL files."""


class Backup(Model):
    """Backups of the database: where they go, who can read them, how long they stay."""

    destination: Text = ""
    """Folder, or "s3://bucket/prefix"; archives lie below `<app>/<environment>/` there. Default: a folder
    of this machine's home."""
    recipients: tuple[Filled, ...] = ()
    """age public keys that archives are encrypted for; none: not encrypted."""
    identity: Text = ""
    """Reference to the age secret key that opens archives, for proofs and restores."""
    proof: Literal["hash", "decode", "data", "full"] = "data"
    """How far a backup is proved before migrations run: its hash, decoded, its data restored, everything."""
    keep_last: Count = 7
    """How many of the newest good backups stay whatever their age."""
    keep_daily: Kept = 7
    """For how many days the last good backup of the day stays."""
    keep_weekly: Kept = 4
    """Likewise for weeks."""
    keep_monthly: Kept = 6
    """Likewise for months."""
    s3_endpoint: Text = ""
    """Address of an S3 service that is not Amazon's."""
    s3_region: Text = ""
    """Region of the bucket; default: by the credentials."""
    s3_encryption: Literal["", "AES256", "aws:kms"] = ""
    """Server-side encryption to ask for."""
    s3_kms_key: Text = ""
    """Key for `aws:kms`; default: the account's."""
    s3_lock: Literal["", "governance", "compliance"] = ""
    """Object Lock: archives cannot be deleted for `s3_lock_days`."""
    s3_lock_days: Count = 30
    """Days of the Object Lock."""


class Cleanup(Model):
    """A retention rule: rows of a table that are older than allowed are deleted in small batches."""

    table: Filled
    """Table, with its schema when that is not the first of `database.schemas`."""
    column: Filled
    """Column with the time that counts."""
    keep: Age
    """How long rows stay: "90d", "12w", "36h"."""
    batch: Rows = 5000
    """Rows of one transaction."""
    pause: Seconds = 0.1
    """Between two transactions."""
    most_rows: Rows = 1_000_000
    """Rows of one run at most."""
    most_time: Seconds = 1800.0
    """Time of one run at most."""


class Maintenance(Model):
    """When `inv maintenance.optimize` works on a table or index."""

    dead_rows: Percent = 10
    """Vacuum a table from this share of dead rows."""
    changed_rows: Percent = 10
    """Analyse a table from this share of rows changed since it was last analysed."""
    bloat: Percent = 30
    """Rebuild an index from this share of unused space."""
    table_limit: Seconds = 600.0
    """Time for one table or index."""
