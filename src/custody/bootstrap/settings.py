"""Settings: file < environment < flags, each value with where it came from."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from custody.core.errors import InvalidInput, NotFound
from custody.core.refs import near

FILE = "custody.toml"
PREFIX = "CUSTODY_"
_NOT_SETTINGS = {"CUSTODY_URL", "CUSTODY_KEY", "CUSTODY_TENANT", "CUSTODY_PROJECT", "CUSTODY_RUN", "CUSTODY_DATASET"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a project keeps its things and listens; relative paths start at the project's folder.

    database: a SQLAlchemy URL or a file. objects: a folder or s3://bucket/prefix. port: control plane; inference_port: data plane.
    interval: seconds between two rounds of the worker. seal_interval: seconds between two ledger entries about captures.
    trust_recipes: the worker may run stored training commands.
    names_model: a spaCy model that scans for personal data ask for names, or several with commas between; none without it.
    encrypt: seal what is stored in objects. master_key: file:PATH, env:NAME or a key service's URL; former_master_key: the one
    before, until `custody encryption rotate --master`. keyring: folder or bucket of the data keys, apart from the objects.
    backup_days: days after which no backup, log archive or replica of database and objects is kept; 0 if nobody said.
    erasure_list: folder or bucket of a second copy of the list of erasures, apart from database and objects; none without it.
    """

    folder: Path
    database: str = "custody.db"
    objects: str = "objects"
    host: str = "127.0.0.1"
    port: int = 8080
    inference_port: int = 8090
    interval: float = 1.0
    seal_interval: float = 60.0
    trust_recipes: bool = True
    names_model: str = ""
    encrypt: bool = False
    master_key: str = "file:keys/master.key"
    former_master_key: str = ""
    keyring: str = "keys/ring"
    backup_days: float = 0.0
    erasure_list: str = ""
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def database_url(self) -> str:
        """Return the database as a SQLAlchemy URL."""
        return self.database if "://" in self.database else f"sqlite:///{(self.folder / self.database).absolute()}"

    @property
    def objects_url(self) -> str:
        """Return the object store as a URL."""
        return self.objects if "://" in self.objects else str((self.folder / self.objects).absolute())

    @property
    def keyring_url(self) -> str:
        """Return the place of the data keys as a URL."""
        return self.keyring if "://" in self.keyring else str((self.folder / self.keyring).absolute())

    @property
    def erasure_list_url(self) -> str:
        """Return the place of the second copy of the list of erasures as a URL; empty if none is set."""
        apart = "://" in self.erasure_list or not self.erasure_list
        return self.erasure_list if apart else str((self.folder / self.erasure_list).absolute())

    @property
    def master_urls(self) -> tuple[str, ...]:
        """Return the master key and the former one, if there is one, with files as absolute paths."""
        given = [url for url in (self.master_key, self.former_master_key) if url]
        return tuple(
            f"file:{(self.folder / url.removeprefix('file:')).absolute()}" if url.startswith("file:") else url for url in given
        )

    @property
    def key_file(self) -> Path:
        """Return where the signing key lies."""
        return self.folder / "keys" / "signing.key"

    @property
    def pseudonym_keys(self) -> Path:
        """Return the folder of the tenants' keys for pseudonyms."""
        return self.folder / "keys" / "pseudonyms"

    @property
    def embeddings_dir(self) -> Path:
        """Return where sentence transformers lie, a folder for each."""
        return self.folder / "embeddings"

    @property
    def state_dir(self) -> Path:
        """Return the data plane's own folder: its cached manifest and unshipped captures."""
        return self.folder / "inference"


_KNOWN = {field.name: field for field in fields(Settings) if field.name not in ("folder", "sources")}


def load(folder: Path, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Settings:
    """Build the settings of a project folder; an unknown key is an error with the nearest known one.

    Raises NotFound if the folder is no project.
    """
    path = folder / FILE
    if not path.is_file():
        raise NotFound(
            f"'{folder}' is not a custody project.",
            why=f"It has no {FILE}.",
            fix=f"Make one: custody init {folder}",
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read.", why=str(error)) from error
    if values.pop("version", 1) != 1:
        raise InvalidInput(f"{path} has an unknown version.", why="This custody reads version 1.", fix="Upgrade custody.")
    layers = [
        (str(path), values),
        (
            "environment",
            {k.removeprefix(PREFIX).lower(): v for k, v in environ.items() if k.startswith(PREFIX) and k not in _NOT_SETTINGS},
        ),
        ("flag", {k: v for k, v in (flags or {}).items() if v is not None}),
    ]
    found: dict[str, object] = {}
    sources = dict.fromkeys(_KNOWN, "default")
    for source, layer in layers:
        for name, value in layer.items():
            if name not in _KNOWN:
                close = near(name, _KNOWN)
                hint = f"Did you mean '{close[0]}'?" if close else f"The settings are: {', '.join(_KNOWN)}."
                raise InvalidInput(f"'{name}' is not a setting (from {source}).", why=hint)
            found[name], sources[name] = _typed(name, value), source
    return Settings(folder, **found, sources=tuple(sources.items()))  # type: ignore[arg-type]  # typed by _typed


def _typed(name: str, value: object) -> object:
    default = _KNOWN[name].default
    try:
        match default:
            case bool():
                return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
            case int():
                number = int(str(value))
                if not 1 <= number <= 65535:  # every whole number among the settings is a port
                    raise ValueError(value)
                return number
            case float():
                return float(str(value))
            case _:
                return str(value)
    except (ValueError, KeyError) as error:
        raise InvalidInput(f"The setting '{name}' cannot be {value!r}.", why=f"It is a {type(default).__name__}.") from error


TEMPLATE = """# A custody project. Every value may also come from the environment: CUSTODY_DATABASE, CUSTODY_OBJECTS, ...
version = 1
database = "custody.db"      # or postgresql+psycopg://user@host/name
objects = "objects"          # or s3://bucket/prefix?endpoint=...&region=...
host = "127.0.0.1"
port = 8080                  # API and dashboard
inference_port = 8090        # Open Inference Protocol
interval = 1.0               # seconds between two rounds of the worker
seal_interval = 60.0         # seconds between two ledger entries about captures; 5 when labels come
trust_recipes = true         # the worker may run the training commands that runs recorded
encrypt = true               # seal everything in objects, each tenant under its own keys
master_key = "file:keys/master.key"  # or env:NAME, https://HOST/v1/transit/keys/NAME, aws-kms://KEY?region=R; keep a copy elsewhere
keyring = "keys/ring"        # the data keys; never back them up together with objects
# backup_days = 30.0         # days after which you keep no backup of database and objects; receipts of erasures name the date
# erasure_list = "/elsewhere/erasures"  # or s3://...: a second copy of whom to erase again after a restore; never restore it
"""
