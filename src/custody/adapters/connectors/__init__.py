"""What comes from outside and goes there: files of rows (`files.py`); never what rows mean, and no database or object store."""
