"""One module per version of the database, oldest first; never code that is shared between versions."""
