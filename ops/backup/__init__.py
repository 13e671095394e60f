"""Backups of databases."""
