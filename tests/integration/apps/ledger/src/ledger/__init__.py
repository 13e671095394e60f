"""A ledger of payments: the second application that the tests deploy."""
