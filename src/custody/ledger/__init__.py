"""What happened, append-only and hash-chained: entries, chain, checkpoints; never rows or personal data."""
