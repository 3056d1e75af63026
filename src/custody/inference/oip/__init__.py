"""The Open Inference Protocol over gRPC: a door of its own beside HTTP, loaded only when a port is configured."""
