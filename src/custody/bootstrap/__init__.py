"""Wiring: one file per process that chooses its adapters; never a rule, a route or a query."""
