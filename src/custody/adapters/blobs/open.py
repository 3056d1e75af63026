"""One URL chooses the object store: a folder or a bucket."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.naming import parse_name
from custody.adapters.blobs.s3 import S3Objects
from custody.core.errors import InvalidInput
from custody.core.objects import Objects

_OPTIONS = ("endpoint", "region")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


def open_objects(url: str, *, environ: Mapping[str, str] = _NO_VARIABLES) -> Objects:
    """Open the object store at a URL; nothing is written or contacted before its first use.

    url: a path or `file:` URL for a folder, or `s3://bucket/prefix?endpoint=http://127.0.0.1:5000&region=us-east-1`.
    environ: holds the standard AWS variables when the store is a bucket; credentials in the URL are refused.
    Raises: InvalidInput if the URL is none of these, or if the extra for S3 is not installed.
    """
    if not url or "\0" in url:
        raise _not_a_store("It is empty or holds a NUL character.")
    if not _SCHEME.match(url):
        return FolderObjects(Path(url))
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _not_a_store("It is not a well-formed URL.") from error
    if parts.scheme == "file":
        return _folder(parts)
    if parts.scheme == "s3":
        return _bucket(parts, environ)
    raise _not_a_store(f"It starts with '{parts.scheme}:'.")


def _folder(parts: SplitResult) -> FolderObjects:
    path = unquote(parts.path)
    if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment or not path or "\0" in path:
        raise _not_a_store("A file: URL holds one path on this machine and nothing else.")
    return FolderObjects(Path(path))


def _bucket(parts: SplitResult, environ: Mapping[str, str]) -> S3Objects:
    if not _BUCKET.fullmatch(parts.netloc):  # an address with user:password@ ends here as well
        raise _not_a_store("After s3:// comes a bucket's name (3-63 lower-case letters, digits, '.', '-'), without credentials.")
    if parts.fragment:
        raise _not_a_store("A '#' has no meaning in it.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        near = get_close_matches(unknown[0], _OPTIONS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise _not_a_store(f"It has the unknown option '{unknown[0]}'.{hint}")
    endpoint = options.get("endpoint")
    if endpoint is not None and not re.match(r"https?://[^/@?#]+/?\Z", endpoint):
        raise _not_a_store("Its endpoint is not http:// or https:// and a host.")
    prefix = parts.path.strip("/")
    return S3Objects(
        parts.netloc, parse_name(prefix) if prefix else "", environ=environ, endpoint=endpoint, region=options.get("region")
    )


def _not_a_store(why: str) -> InvalidInput:
    return InvalidInput(
        "That is not the address of an object store.",
        why=why,
        fix="Give a folder, or s3://bucket/prefix?endpoint=http://127.0.0.1:5000&region=us-east-1.",
    )
