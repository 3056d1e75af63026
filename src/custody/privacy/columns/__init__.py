"""Tables: scrubbing of text columns, what each column holds, and how small the groups are in which people hide."""
