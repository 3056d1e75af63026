"""Scans: their states, what they report, what was measured about the patterns, and planted canaries; never a raw match."""
