"""invops: deploy, back up, set up and verify an application with named Invoke tasks.

The way through the code: `tasks` (arguments) -> a domain module's `plan` (pure data) -> `kernel.engine`
(show, confirm, lock, journal, steps, undo) -> adapters in `hosts` and `database` (where calls leave).
"""

__version__ = "0.1.0"
