"""What a bucket keeps of what was removed: older versions, delete markers, uploads that never ended; found and deleted."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from custody.core.errors import InvalidInput, Unavailable


def purge(bucket: str, path: str, access: Mapping[str, str], *, uploads: Sequence[str], before: datetime) -> int:
    """Delete every version at or below a path that is not the current one, end unfinished uploads, and return how many there were.

    access: the AWS variables, with `endpoint` and `region`. uploads: paths at or below which an unfinished upload is ended
    if it was begun before a time; a later one may belong to a writer at work.
    Raises: Unavailable if the bucket keeps one of them back (a retention lock, a missing permission).
    """
    made = _client(access)
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with closing(made) as client:
            doomed = [one for one in _versions(client, bucket, path) if not one["latest"]]
            for start in range(0, len(doomed), 1000):
                keys = [{"Key": one["key"], "VersionId": one["id"]} for one in doomed[start : start + 1000]]
                answer = client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                if failed := answer.get("Errors"):
                    raise _kept_back(bucket, str(failed[0].get("Code")))
            return len(doomed) + sum(_uploads(client, bucket, one, before) for one in uploads)
    except (BotoCoreError, ClientError) as error:
        raise _kept_back(bucket, type(error).__name__) from error


def _versions(client: Any, bucket: str, path: str) -> list[dict[str, Any]]:
    """List what stands at or below a path; a delete marker counts as old even where it is the newest."""
    found = []
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=path):
        kept = [(one, bool(one["IsLatest"])) for one in page.get("Versions", [])]
        marks = [(one, False) for one in page.get("DeleteMarkers", [])]
        found += [
            {"key": one["Key"], "id": one["VersionId"], "latest": latest}
            for one, latest in [*kept, *marks]
            if _below(one["Key"], path)
        ]
    return found


def _uploads(client: Any, bucket: str, path: str, before: datetime) -> int:
    ended = 0
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=path):
        for one in page.get("Uploads", []):
            if one["Initiated"] < before and _below(one["Key"], path):
                client.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
                ended += 1
    return ended


def _below(key: str, path: str) -> bool:
    return key == path or key.startswith(path.rstrip("/") + "/")


def _client(access: Mapping[str, str]) -> Any:
    try:
        import boto3
    except ImportError as error:
        raise InvalidInput(
            "Deleting the older versions of a bucket needs a library that is not installed.",
            why="boto3 is an optional extra of custody.",
            fix="pip install 'custody-ml[s3]'",
        ) from error
    return boto3.client(
        "s3",
        endpoint_url=access.get("endpoint"),
        region_name=access.get("region") or access.get("AWS_REGION") or access.get("AWS_DEFAULT_REGION"),
        aws_access_key_id=access.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=access.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=access.get("AWS_SESSION_TOKEN"),
    )


def _kept_back(bucket: str, code: str) -> Unavailable:
    return Unavailable(
        f"The bucket '{bucket}' does not let go of older versions.",
        why=f"It answered {code}: a retention lock, or a permission for versions that is missing.",
        fix="Allow ListBucketVersions, DeleteObjectVersion, ListBucketMultipartUploads and AbortMultipartUpload, without a lock.",
        facts={"bucket": bucket},
    )
