"""A small coffee shop: it takes orders, and a worker books what was sold."""
