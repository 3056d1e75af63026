"""Opens the object store with its ring of keys, for every process in the same way."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from custody.adapters.blobs.keys.master import TRANSIT, make_master, open_master
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.open import open_objects
from custody.adapters.blobs.sealed import SealedObjects
from custody.bootstrap.settings import Settings

OWN = "file:"


def open_ring(keyring: str, masters: Sequence[str], environ: Mapping[str, str]) -> KeyRing:
    """Open the data keys at a URL; masters: the current master key's address, then former ones.

    A master key file that is missing is made only where no data key exists yet: a new one would open none of them.
    """
    store = open_objects(keyring, environ=environ)
    first = masters[0]
    if first.startswith(OWN) and next(store.names("ring/"), None) is None:
        make_master(Path(first.removeprefix(OWN)))
    current, *former = (open_master(url, environ=environ, folder=Path()) for url in masters)
    return KeyRing(store, current, former=former)


def open_sealed(url: str, ring: KeyRing, environ: Mapping[str, str], *, sealing: bool) -> SealedObjects:
    """Open an object store; sealing: what is written from now on is sealed, while all is read."""
    return SealedObjects(open_objects(url, environ=environ), ring, sealing=sealing)


def sealing_arguments(settings: Settings) -> list[str]:
    """Return what an inference process is started with so that it opens and seals as the project does."""
    masters = [part for url in settings.master_urls for part in ("--master-key", url)]
    return ["--keyring", settings.keyring_url, *masters, *(["--encrypt"] if settings.encrypt else [])]


def secret_variables(settings: Settings) -> set[str]:
    """Return the environment variables without which a child process cannot open the project's keys."""
    named = {url.removeprefix("env:") for url in settings.master_urls if url.startswith("env:")}
    remote = any(url.startswith("http") for url in settings.master_urls)
    return named | ({f"{kind}_{one}" for kind in ("BAO", "VAULT") for one in TRANSIT} if remote else set())
