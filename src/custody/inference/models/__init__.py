"""From the published manifest to models in memory; never a request."""
