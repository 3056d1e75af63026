"""The typed client: the same verbs as the `custody` command, against a server or a folder; never a rule of its own."""

from custody.sdk.client import Client, Result, connect
from custody.sdk.running import ActiveRun, run

__all__ = ["ActiveRun", "Client", "Result", "connect", "run"]
