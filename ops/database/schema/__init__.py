"""Do two schemas agree? Compared object by object from what pg_dump says of each."""

from ops.database.schema.compare import Difference, differences
from ops.database.schema.definitions import Key, objects

__all__ = ["Difference", "Key", "differences", "objects"]
