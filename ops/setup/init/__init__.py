"""Describe an application that invops has never seen: look at its repository, propose an ops.toml."""
