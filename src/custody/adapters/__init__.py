"""The ports made real (databases, object stores, frameworks, connectors); never a rule of the product."""
