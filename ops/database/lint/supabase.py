"""What a Supabase project has before its first migration: enough of it for a trace."""

from __future__ import annotations

from typing import Final

from ops.database.sql import Connection
from ops.kernel.context import Context

_LAYOUT: Final = ("supabase", "migrations")
# Source: supabase/postgres, migrations/db/init-scripts; only what policies and foreign keys name.
_GROUND: Final = """
create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
create schema auth; create schema extensions; create schema storage;
create table auth.users (id uuid primary key, email text, raw_user_meta_data jsonb, created_at timestamptz);
create function auth.uid() returns uuid language sql stable as 'select null::uuid';
create function auth.role() returns text language sql stable as 'select null::text';
create function auth.email() returns text language sql stable as 'select null::text';
create function auth.jwt() returns jsonb language sql stable as 'select null::jsonb';
create table storage.buckets (id text primary key, name text, public boolean);
create table storage.objects (id uuid primary key, bucket_id text, name text, owner uuid);
create publication supabase_realtime;
"""


def is_layout(context: Context) -> bool:
    """Say whether the application's migrations are those of a Supabase project."""
    migrations = context.settings.migrations
    return migrations is not None and migrations.path.parts[-2:] == _LAYOUT


def prepare(context: Context, connection: Connection) -> None:
    """Make Supabase's roles, schemas and functions for the migrations of such a project."""
    if is_layout(context):
        connection.execute(_GROUND.encode())
