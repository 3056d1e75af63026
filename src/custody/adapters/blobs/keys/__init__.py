"""The data keys that seal objects, and the master key that wraps them; never where sealed objects stand."""
