"""`inv start`, `stop`, `status` and `logs`: development servers from the working tree, or a deployed environment."""
