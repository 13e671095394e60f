"""The tasks for plain `inv`; they live in ops/tasks/."""

from ops.tasks import collection

ns = collection()
