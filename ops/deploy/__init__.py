"""Releases and how they get to a target."""
