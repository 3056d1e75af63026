"""Heavy detectors and helpers of privacy: spaCy for names, a scan in a process with a time limit; never policy."""
