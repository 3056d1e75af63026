"""Teaching a small model to know names by where they stand, from invented names: no list of names is read."""
