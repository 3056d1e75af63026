"""The measures: arrays in, numbers with intervals out; never I/O, a clock, randomness or a framework."""
