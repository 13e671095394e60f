"""`inv setup.server`: a bare Debian or Ubuntu server becomes a host of an environment, over SSH."""
