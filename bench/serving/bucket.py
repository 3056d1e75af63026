"""An S3-speaking server for the servers that keep their objects in a bucket: moto, in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

KEYS = {"AWS_ACCESS_KEY_ID": "bench-only", "AWS_SECRET_ACCESS_KEY": "bench-only", "AWS_REGION": "us-east-1"}
_NAME, _READY_S = "bench", 30.0


@contextmanager
def bucket(port: int, core: int) -> Iterator[str]:
    """Run the server on a core until the block ends, and return the URL of an empty bucket on it."""
    import boto3
    from botocore.exceptions import BotoCoreError

    command = ["taskset", "-c", str(core), sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **KEYS})
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=KEYS["AWS_REGION"],
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        until = time.monotonic() + _READY_S
        while True:
            try:
                client.create_bucket(Bucket=_NAME)
                break
            except BotoCoreError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield f"s3://{_NAME}?endpoint={endpoint}"
    finally:
        client.close()
        process.terminate()
        process.wait()
