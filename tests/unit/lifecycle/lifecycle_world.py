"""A project with one judged model that serves one tenant: real stores, a real ONNX model, invented rows."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from custody.adapters.frameworks import sklearn
from custody.adapters.sql.stores import SqlStores
from custody.bootstrap.control import init, wire
from custody.bootstrap.settings import load
from custody.core.digest import Json
from custody.core.exported import Exported
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE, Actor, Role, TenantId
from custody.data.card import Card
from custody.data.dataset import DatasetVersion
from custody.data.split import Split
from custody.lifecycle.convert import convert
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.promote import promote, set_policy
from custody.lifecycle.release import Plan, release
from custody.lifecycle.seal import seal
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.train import begin, keep, log, read, train
from custody.registry.run import LoggedModel, RunStatus
from custody.serving.capture import Capture, CaptureMode, is_packed, line_of, write_batch

ADA = Actor("ada", Role.ADMIN)
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
SPAM = DeploymentKey(ACME, "prod", "spam")
SPAM_1 = ModelRef("spam", 1)
BEGIN = datetime(2025, 1, 1, 12, tzinfo=UTC)
MALLORY = Actor("mallory", Role.ADMIN, GLOBEX)  # an admin of another tenant
CHURN = DeploymentKey(ACME, "prod", "churn")
CHURN_1 = ModelRef("churn", 1)
POLICY: dict[str, Json] = {"metrics": [{"metric": "auc", "minimum": 0.6}], "golden_required": False, "thresholds": [0.4, 0.5]}
CARD = Card(
    title="Invented",
    description="Drawn from a random generator",
    owner="the team",
    sources=("a random generator",),
    collection_method="synthetic",
    collection_period="2026",
    geography=("nowhere",),
    subjects=(),
    legal_basis="public_data",
    purposes=("train_ai_system",),
    license="CC0-1.0",
    limitations="none of it is true",
    bias_treatment="none",
)


@cache
def _new_project() -> Path:
    """Make a project once; a copy of it is ready in no time."""
    folder = Path(tempfile.mkdtemp(prefix="custody-")) / "project"
    init(folder)
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[Ports]:
    """Make a project unless it is there, whatever the environment says, and open it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
            patch.delenv(name)
        if not folder.exists():
            shutil.copytree(_new_project(), folder)
        ports = wire(load(folder, os.environ))
        assert isinstance(ports.stores, SqlStores)
        yield ports
    ports.stores.close()


def rows(n: int = 300, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n).round(3)
    return pa.table({"age": age.tolist(), "left": np.where(age + rng.normal(0, 0.5, n) > 0, "Yes", "No").tolist()})


def exported(table: pa.Table, model: Any = None) -> Exported:
    """Fit a classifier of scikit-learn, by default logistic regression, and export it."""
    from sklearn.linear_model import LogisticRegression

    frame = table.to_pandas()
    return sklearn.export((model or LogisticRegression()).fit(frame[["age"]], frame["left"]), frame[["age"]])


@dataclass
class World:
    """What the tests ask for, step by step."""

    ports: Ports
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    sent: list[str] = field(default_factory=list)

    def caller(self, actor: Actor = ADA, tenant: TenantId = HOUSE) -> Caller:
        self.now += timedelta(minutes=1)
        return Caller(tenant, actor, self.now)

    def data(self, table: pa.Table | None = None, **more: Any) -> tuple[DatasetVersion, int | None]:
        chosen = rows() if table is None else table
        return ingest(self.ports, self.caller(), "tickets", chosen, CARD, roles=Roles(target="left", positive="Yes"), **more)

    def trained(
        self, data: DatasetVersion, split: Split = Split.TRAIN, purpose: str = "", *, model: Any = None, name: str = "churn"
    ) -> str:
        run, _ = begin(self.ports, self.caller(), name, purpose=purpose)
        made = exported(read(self.ports, self.caller(), run.id, data.ref, split), model)
        files = [keep(self.ports, self.caller(), body) for body in (made.onnx, msgspec.json.encode(made.fixture))]
        logged = LoggedModel(name, files[0], files[1], made.signature, made.framework)
        log(self.ports, self.caller(), run.id, models=[logged])
        train(self.ports, self.caller(), run.id, RunStatus.FINISHED)
        return run.id

    def registered(self) -> ModelRef:
        set_policy(self.ports, self.caller(), "churn", POLICY)
        return convert(self.ports, self.caller(), self.trained(self.data()[0]))[0].ref

    def live(self) -> ModelRef:
        ref = self.registered()
        assert promote(self.ports, self.caller(), ref)[0].passed
        release(self.ports, self.caller(), Plan(CHURN, ref))
        return ref

    def ship(
        self, name: str, *, key: DeploymentKey = CHURN, model: ModelRef = CHURN_1, count: int = 3, into: TenantId = ACME
    ) -> list[str]:
        """Ship a batch of captures as the data plane does, and return the prediction ids."""
        ms = int(self.now.timestamp() * 1000)
        ids = [PredictionId(key, 1, model, unique_at(ms, f"{name:>8}{i:02}".encode())) for i in range(count)]
        lines = [Capture(one, ms, None, None, CaptureMode.LIVE, None, 0.4, {"age": [0.5]}, [0.7], [True], 90) for one in ids]
        self.put(name, write_batch(b"".join(map(line_of, lines))), into)
        return [str(one) for one in ids]

    def put(self, name: str, body: bytes, tenant: TenantId = ACME) -> None:
        assert self.ports.stores.objects.create(f"captures/{tenant}/{name}.ndjson{'.gz' * is_packed(body)}", body)

    def seal(self) -> int:
        return seal(self.ports, self.caller().now)

    def kinds(self) -> Sequence[str]:
        return [entry.kind for entry in self.ports.stores.ledger.entries()]

    def shipped(self) -> list[str]:
        return list(self.ports.stores.objects.names("captures/"))


def comments(n: int = 60) -> pa.Table:
    """Invent comments; every second one is spam."""
    texts = [f"subscribe to channel {i}" if i % 2 else f"I love song {i}" for i in range(n)]
    times = pa.array([BEGIN + timedelta(minutes=i, microseconds=i) for i in range(n)], pa.timestamp("us", "UTC"))
    return pa.table({"text": texts, "label": [i % 2 for i in range(n)], "ts": times})


def serve_comments(world: World, table: pa.Table | None = None) -> None:
    """Train a model on texts, judge it and serve it to a tenant."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    roles = Roles(target="label", positive="1", time="ts")
    data, _ = ingest(world.ports, world.caller(), "comments", comments() if table is None else table, CARD, roles=roles)
    set_policy(world.ports, world.caller(), "spam", {"golden_required": False})
    run, _ = begin(world.ports, world.caller(), "spam")
    rows = read(world.ports, world.caller(), run.id, data.ref, Split.TRAIN).to_pydict()
    fitted = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(rows["text"], rows["label"])
    model = sklearn.export(fitted, rows["text"])
    files = [keep(world.ports, world.caller(), body) for body in (model.onnx, msgspec.json.encode(model.fixture))]
    log(world.ports, world.caller(), run.id, models=[LoggedModel("spam", files[0], files[1], model.signature, model.framework)])
    train(world.ports, world.caller(), run.id, RunStatus.FINISHED)
    ref = convert(world.ports, world.caller(), run.id)[0].ref
    assert promote(world.ports, world.caller(), ref)[0].passed
    release(world.ports, world.caller(), Plan(SPAM, ref))
