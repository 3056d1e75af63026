"""One class per port: how each noun lies in its table; never a transaction or a connection of its own."""
