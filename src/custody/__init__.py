"""Chain of custody for machine-learning models: start at `custody.sdk` (Python) or the `custody` command."""

__version__ = "0.1.0"
