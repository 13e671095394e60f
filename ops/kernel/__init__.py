"""The kernel: errors, settings, plans, the engine, journal, audit, log. It imports no domain."""
