"""The object store in an S3 bucket, or any server that speaks S3 and honours conditional writes."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from custody.adapters.blobs.history import purge
from custody.adapters.blobs.naming import DOCUMENTS, OBJECTS, digest_at, document_path, is_name, object_path, prefix_path
from custody.core.digest import Digest, digest_of, verified
from custody.core.errors import InvalidInput, NotFound, Unavailable
from custody.core.keys import Resealed
from custody.core.objects import Alone
from custody.core.tenancy import TenantId

_SETTINGS = (
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "default_region",
    "web_identity_token_file",
    "role_arn",
    "role_session_name",
    "container_credentials_relative_uri",
    "container_credentials_full_uri",
    "container_authorization_token_file",
)
_NO_BUCKET = "NoSuchBucket"
_LEASE = timedelta(minutes=10)  # longer than any upload takes


class S3Objects:
    """Keep objects and documents in a bucket, below an optional prefix, under the same names as in a folder.

    environ: where to find the standard AWS variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    AWS_REGION, and those of an assumed role); `region` wins over AWS_REGION. endpoint: for servers other than AWS.
    Many threads may share one instance; a process that forks opens its own. Large objects travel in parts, and an
    upload that was cut off stays hidden in the bucket until the next erasure, or a lifecycle rule for unfinished uploads.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, environ: Mapping[str, str], endpoint: str | None = None, region: str | None = None
    ) -> None:
        self._bucket, self._obstore, self._prefix = bucket, _obstore(), prefix
        self._access = dict(environ) | {name: value for name, value in (("endpoint", endpoint), ("region", region)) if value}
        config: dict[str, Any] = {key: environ[name] for key in _SETTINGS if (name := f"AWS_{key.upper()}") in environ}
        config |= {key: value for key, value in {"endpoint": endpoint, "region": region}.items() if value}
        with self._explained():
            self._store = self._obstore.store.S3Store(
                bucket,
                prefix=prefix or None,
                config=config,
                client_options={
                    "allow_http": bool(endpoint and endpoint.startswith("http://")),
                    "connect_timeout": timedelta(seconds=5),
                    "timeout": timedelta(seconds=60),
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
            )
        self._creates = False

    def of(self, tenant: TenantId) -> Self:  # noqa: ARG002 - tenants share a plain store
        """Return this store."""
        return self

    def put(self, body: bytes) -> Digest:
        """Store bytes durably and return their digest; storing the same bytes again changes nothing."""
        digest = digest_of(body)
        if not self.has(digest):
            self._put(object_path(digest), body)
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes; NotFound if absent, IntegrityBroken if they no longer match the digest."""
        body = self._load(object_path(digest))
        if body is None:
            raise NotFound.of("object", digest[:12])
        return verified(body, digest)

    def has(self, digest: Digest) -> bool:
        """Tell whether the object is stored, without reading it."""
        return self._head(object_path(digest)) is not None

    def digests(self) -> Iterator[Digest]:
        """Return every stored object's digest."""
        return (digest for path in self._paths(OBJECTS) if (digest := digest_at(path)))

    def discard(self, digest: Digest) -> None:
        """Remove an object with all its versions; nothing happens if there is none."""
        self._delete(object_path(digest))
        self._purge(object_path(digest), [object_path(digest)])

    def purge(self, prefix: str) -> int:
        """Remove older versions and delete markers at or below a name, and whatever upload never ended in the whole store.

        Nobody knows what an upload that was cut off holds, nor under which digest it would have been found.
        """
        return self._purge(prefix_path(prefix), [OBJECTS, DOCUMENTS])

    def reseal(self, after: str, limit: int, *, dry_run: bool = False, alone: Alone = nullcontext) -> Resealed:  # noqa: ARG002 - the port's words
        """Do nothing: nothing is sealed here."""
        return Resealed("", 0, 0, 0)

    def publish(self, name: str, body: bytes) -> None:
        """Write a document, replacing an older one in one step."""
        self._put(document_path(name), body)

    def create(self, name: str, body: bytes | memoryview) -> bool:
        """Write a document only if the name is free; False (and no change) if it is taken.

        Raises: Unavailable if the server ignores the condition and would overwrite; the first call finds out.
        """
        path = document_path(name)
        if not self._creates:
            self._probe()
        return self._put_new(path, body)

    def create_from(self, name: str, file: Path) -> bool:
        """As `create`, of what stands in a file."""
        return self.create(name, file.read_bytes())

    def read(self, name: str) -> bytes | None:
        """Return a document, or None."""
        return self._load(document_path(name))

    def stamp(self, name: str) -> str | None:
        """Return a text that changes whenever the document is published again; None if there is none."""
        found = self._head(document_path(name))
        return f"{found['e_tag']} {found['last_modified'].isoformat()}" if found else None

    def names(self, prefix: str) -> Iterator[str]:
        """Return the names of documents below a prefix, sorted."""
        names = (path.removeprefix(DOCUMENTS + "/") for path in self._paths(prefix_path(prefix)))
        return iter(sorted(filter(is_name, names)))

    def remove(self, name: str) -> None:
        """Remove a document; nothing happens if there is none."""
        self._delete(document_path(name))

    def _purge(self, path: str, uploads: Sequence[str]) -> int:
        with self._explained():
            whole, *paths = (f"{self._prefix}/{one}" if self._prefix else one for one in (path, *uploads))
            return purge(self._bucket, whole, self._access, uploads=paths, before=datetime.now(UTC) - _LEASE)

    def _probe(self) -> None:
        path = f"probe/{secrets.token_hex(16)}"
        try:
            self._creates = self._put_new(path, b"1") and not self._put_new(path, b"2")
        finally:
            self._delete(path)
        if not self._creates:
            raise Unavailable(
                f"The server of bucket '{self._bucket}' overwrites objects that should be created only once.",
                why="It ignores the header If-None-Match, so two writers could both believe to be first.",
                fix="Use a server that honours conditional writes, or a local folder.",
                facts={"bucket": self._bucket},
            )

    def _put(self, path: str, body: bytes) -> None:
        with self._explained():
            self._obstore.put(self._store, path, body)

    def _put_new(self, path: str, body: bytes | memoryview) -> bool:
        with self._explained():
            try:
                self._obstore.put(self._store, path, body, mode="create")
            except self._obstore.exceptions.AlreadyExistsError:
                return False
        return True

    def _load(self, path: str) -> bytes | None:
        with self._explained():
            try:
                body: bytes = self._obstore.get(self._store, path).bytes().to_bytes()
            except FileNotFoundError as error:
                if _NO_BUCKET in str(error):
                    raise
                return None
        return body

    def _head(self, path: str) -> dict[str, Any] | None:
        with self._explained():
            try:
                found: dict[str, Any] = self._obstore.head(self._store, path)
            except FileNotFoundError:  # a missing bucket looks the same here: the answer to HEAD has no text
                return None
        return found

    def _paths(self, below: str) -> list[str]:
        with self._explained():
            return [item["path"] for page in self._obstore.list(self._store, prefix=below) for item in page]

    def _delete(self, path: str) -> None:
        with self._explained():
            self._obstore.delete(self._store, path)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        problems = self._obstore.exceptions
        try:
            yield
        except (problems.UnauthenticatedError, problems.PermissionDeniedError) as error:
            raise Unavailable(
                f"The bucket '{self._bucket}' refuses this process.",
                why="The credentials are missing, wrong, or lack a permission for it.",
                fix="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and allow Get, Put, Delete and List on the bucket.",
                facts={"bucket": self._bucket},
            ) from error
        except (problems.BaseError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) or _NO_BUCKET in str(error):
                raise self._no_bucket() from error
            raise Unavailable(
                f"The bucket '{self._bucket}' does not answer as it should.",
                why=f"The server cannot be reached, is overloaded, or the address is wrong ({type(error).__name__}).",
                fix="Check the endpoint and region in the store's URL, then try again.",
                facts={"bucket": self._bucket},
            ) from error

    def _no_bucket(self) -> Unavailable:
        return Unavailable(
            f"There is no bucket '{self._bucket}'.",
            why="It was not created yet, or the endpoint is another server's.",
            fix="Create the bucket, or correct the store's URL.",
            facts={"bucket": self._bucket},
        )


def _obstore() -> ModuleType:
    try:
        import obstore
        import obstore.store
    except ImportError as error:
        raise InvalidInput(
            "An s3:// store needs a library that is not installed.",
            why="obstore is an optional extra of custody.",
            fix="pip install 'custody-ml[s3]'",
        ) from error
    return obstore
