"""What callers write and read: each protocol's words, translated to one request and from one prediction; never a decision."""
