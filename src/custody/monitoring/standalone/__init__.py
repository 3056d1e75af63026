"""Drift without the platform: frames and Parquet files in, a comparison out that a notebook shows and a file keeps."""
