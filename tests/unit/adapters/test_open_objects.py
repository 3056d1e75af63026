"""Which address opens which object store."""

import subprocess
import sys
from pathlib import Path

import pytest

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.open import open_objects
from custody.adapters.blobs.s3 import S3Objects
from custody.core.errors import InvalidInput


def test_a_path_or_file_url_opens_the_same_folder(tmp_path: Path) -> None:
    home = tmp_path / "my store"
    digest = open_objects(str(home)).put(b"x")
    for url in (f"file://{tmp_path}/my%20store", f"file://localhost{tmp_path}/my%20store", f"file:{tmp_path}/my%20store"):
        objects = open_objects(url)
        assert isinstance(objects, FolderObjects)
        assert objects.get(digest) == b"x"


def test_a_relative_folder_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = open_objects("store")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    objects.put(b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "store"]


@pytest.mark.parametrize(
    "url",
    ["s3://bucket", "s3://bucket/pre/fix/", "s3://bucket?region=eu-west-1", "s3://my.bucket-1?endpoint=https://s3.example.org/"],
)
def test_an_s3_url_opens_a_bucket(url: str) -> None:
    assert isinstance(open_objects(url, environ={"AWS_REGION": "us-east-1"}), S3Objects)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("file:", "one path"),
        ("file://server/share", "one path"),
        ("file:///a%00b", "one path"),
        ("https://bucket.example.org", "starts with 'https:'"),
        ("s3://", "bucket's name"),
        ("s3://Bucket", "bucket's name"),
        ("s3://key:secret@bucket", "without credentials"),
        ("s3://bucket?endpiont=http://x", "Did you mean 'endpoint'"),
        ("s3://bucket?access_key_id=1", "unknown option"),
        ("s3://bucket?endpoint=127.0.0.1:5000", "http://"),
        ("s3://bucket?endpoint=http://user:password@host", "http://"),
        ("s3://bucket#x", "'#'"),
        ("s3://[bucket", "well-formed"),
    ],
)
def test_an_address_that_is_no_store_says_why(url: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        open_objects(url)
    assert why in refusal.value.why
    assert "secret" not in str(refusal.value)
    assert "password" not in str(refusal.value)


@pytest.mark.parametrize("prefix", ["../x", "a//b", "%2e%2e", "a b"])
def test_a_prefix_is_as_strict_as_a_name(prefix: str) -> None:
    with pytest.raises(InvalidInput):
        open_objects(f"s3://bucket/{prefix}")


def test_a_folder_needs_no_s3_library() -> None:
    script = (
        "import sys; from custody.adapters.blobs.open import open_objects; open_objects('x'); sys.exit('obstore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
