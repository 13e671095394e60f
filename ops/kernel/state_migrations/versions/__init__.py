"""One module for each change of the schema; once released, none is edited."""
