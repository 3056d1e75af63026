"""The object store on a local folder or an S3 bucket (`open.py` chooses by URL); never what the bytes mean, and no database."""
