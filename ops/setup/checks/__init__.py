"""What `setup.check` looks at; each check is a function `(machine) -> results` that changes nothing."""
