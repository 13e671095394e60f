"""Deploys to hosts with Docker Compose: what is read, what a host runs, how its proxy is configured."""
