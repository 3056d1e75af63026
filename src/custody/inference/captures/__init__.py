"""The record of every answer on its way to the object store, and the shadows that are recorded beside it."""
