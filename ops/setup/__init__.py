"""Set-up of a machine and of a repository."""
