"""Databases: the embedded server, SQL connections and migrations."""
