"""The control plane: ports made of real adapters, and the process that serves API and dashboard."""

import argparse
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from custody.adapters.blobs.keys.people import PersonKeys
from custody.adapters.blobs.keys.texts import SealedTexts
from custody.adapters.blobs.open import open_objects
from custody.adapters.frameworks.embedding import Embeddings
from custody.adapters.frameworks.onnx import OnnxModel
from custody.adapters.privacy.chosen import detectors
from custody.adapters.sql.stores import SqlStores
from custody.bootstrap.personal import PersonalTables
from custody.bootstrap.pseudonyms import PseudonymFiles
from custody.bootstrap.sealing import open_ring, open_sealed
from custody.bootstrap.settings import FILE, TEMPLATE, Settings, load
from custody.bootstrap.signing import KeyFile, make_key
from custody.core.errors import Conflict, NotFound
from custody.core.tenancy import HOUSE, Actor, Role
from custody.lifecycle.replay import replay
from custody.lifecycle.stores import Ports, Tenant
from custody.web.app import create_app

LOCAL = Actor("local", Role.ADMIN)


def clock() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def wire(settings: Settings) -> Ports:
    """Make the ports of a project; its database is brought up to date first, and erasures that a restore undid are repeated."""
    ring = open_ring(settings.keyring_url, settings.master_urls, os.environ)
    objects = open_sealed(settings.objects_url, ring, os.environ, sealing=settings.encrypt)
    stores = SqlStores(settings.database_url, objects, SealedTexts(ring, sealing=settings.encrypt))
    stores.upgrade()
    _ensure_house(stores)
    people = PersonKeys(ring, open_objects(settings.keyring_url, environ=os.environ))
    apart = open_objects(settings.erasure_list_url, environ=os.environ) if settings.erasure_list else None
    ports = Ports(
        stores,
        PersonalTables(people),
        OnnxModel,
        KeyFile(settings.key_file),
        os.urandom,
        Embeddings(settings.embeddings_dir),
        PseudonymFiles(settings.pseudonym_keys),
        ring,
        detectors(settings.names_model),
        settings.backup_days,
        people,
        apart,
    )
    replay(ports, clock())
    return ports


def _ensure_house(stores: SqlStores) -> None:
    try:
        stores.tenants.get(HOUSE)
    except NotFound:
        with stores.change(HOUSE, LOCAL, clock()) as change:
            try:
                change.tenants.add(Tenant(HOUSE, clock()))
            except Conflict:  # another process was faster
                return
            change.record("tenant.added", HOUSE, {})


def init(folder: Path) -> tuple[Settings, bool]:
    """Make a project folder, or complete one; tell whether it is new."""
    folder.mkdir(parents=True, exist_ok=True)
    new = not (folder / FILE).exists()
    if new:
        (folder / FILE).write_text(TEMPLATE, encoding="utf-8")
    settings = load(folder, os.environ)
    make_key(settings.key_file)
    wire(settings)
    return settings, new


def main() -> None:
    """Serve API and dashboard until a signal."""
    parser = argparse.ArgumentParser(prog="custody.bootstrap.control")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    settings = load(given.folder, os.environ, {"port": given.port})
    app = create_app(wire(settings), clock)
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning", access_log=False, server_header=False)


if __name__ == "__main__":
    main()
