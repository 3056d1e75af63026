"""The stores on SQLite and PostgreSQL; never a decision: rows in, nouns out, and the reverse."""
