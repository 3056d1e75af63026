"""The `custody` command: parse, make one SDK call, render; never a rule, a query or a heavy import at start."""
