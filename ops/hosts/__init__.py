"""Adapters to this machine: commands, HTTP, HAProxy, supervisor, accounts, tools."""
