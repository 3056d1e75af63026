"""The data plane's process: Open Inference Protocol V2 over a raw ASGI app; never a database, the control plane or a web framework."""
