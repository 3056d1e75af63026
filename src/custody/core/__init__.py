"""The nouns every chapter shares, the measures, the errors; never I/O, a clock, randomness or a framework."""
