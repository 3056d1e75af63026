"""Tiny real models, a signed manifest in a folder, and a real server process."""

import base64
import importlib
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.adapters.blobs.folder import FolderObjects
from custody.core.digest import digest_of
from custody.core.manifest import Candidate, KeyGrant, Manifest, Mode, ParityFixture, Service, SignedManifest, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature, Tensor
from custody.core.tenancy import TenantId
from custody.inference.captures.journal import left, left_in
from custody.serving import Capture, read_batch

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
KEYS = {ACME: "acme-key", GLOBEX: "globex-key", None: "team-key"}
CHURN = DeploymentKey(ACME, "prod", "churn")


@dataclass(frozen=True)
class Model:
    onnx: bytes
    signature: Signature
    fixture: ParityFixture


def _untyped(module: str) -> Any:
    return importlib.import_module(module)


@cache
def tabular(seed: int, unknown: str = "ignore") -> Model:
    """Two number columns and a text column; another seed is another model with the same signature.

    unknown: what the model does with a plan that it did not see in training, "ignore" or "error".
    """
    types, pipeline = _untyped("skl2onnx.common.data_types"), _untyped("sklearn.pipeline")
    prepare = _untyped("sklearn.preprocessing")
    rng = np.random.default_rng(seed)
    n = 200
    rows = _untyped("pandas").DataFrame(
        {
            "age": rng.uniform(18, 80, n).astype(np.float32),
            "spend": rng.uniform(0, 500, n).astype(np.float32),
            "plan": rng.choice(["basic", "premium"], n).astype(object),
        }
    )
    churned = (rows["age"] / 80 + (rows["plan"] == "basic") + rng.normal(0, 0.3, n)) > 1.1
    columns = _untyped("sklearn.compose").ColumnTransformer(
        [
            ("numbers", prepare.StandardScaler(), ["age", "spend"]),
            ("plan", prepare.OneHotEncoder(handle_unknown=unknown), ["plan"]),
        ]
    )
    model = pipeline.make_pipeline(columns, _untyped("sklearn.linear_model").LogisticRegression()).fit(rows, churned)
    number, word = types.FloatTensorType([None, 1]), types.StringTensorType([None, 1])
    onnx = _untyped("skl2onnx").to_onnx(
        model, initial_types=[("age", number), ("spend", number), ("plan", word)], options={"zipmap": False}
    )
    inputs = (Tensor("age", "FP32", (-1, 1)), Tensor("spend", "FP32", (-1, 1)), Tensor("plan", "BYTES", (-1, 1)))
    return _built(onnx, inputs, {name: rows[name].tolist()[:20] for name in rows}, model.predict_proba(rows[:20])[:, 1])


@cache
def numeric() -> Model:
    """Three numbers as one input: what the journal of captures takes."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(200, 3)).astype(np.float32)
    model = _untyped("sklearn.linear_model").LogisticRegression().fit(rows, rows[:, 0] + rng.normal(0, 0.3, 200) > 0)
    number = _untyped("skl2onnx.common.data_types").FloatTensorType([None, 3])
    onnx = _untyped("skl2onnx").to_onnx(model, initial_types=[("x", number)], options={"zipmap": False})
    inputs = (Tensor("x", "FP32", (-1, 3)),)
    return _built(onnx, inputs, {"x": rows[:20].ravel().tolist()}, model.predict_proba(rows[:20])[:, 1])


def numeric_body() -> dict[str, Any]:
    """Return an infer request for the numeric model."""
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.5, -1.0, 2.0]}]}


def text() -> Model:
    """A text classifier."""
    texts = ["you are awful", "what a nice day", "awful awful people", "nice work everyone", "École fermée", "bonne journée"]
    words = _untyped("sklearn.feature_extraction.text").TfidfVectorizer(token_pattern=r"[a-zA-Z]+")
    model = _untyped("sklearn.pipeline").make_pipeline(words, _untyped("sklearn.linear_model").LogisticRegression())
    model.fit(texts * 5, [1, 0, 1, 0, 1, 0] * 5)
    word = _untyped("skl2onnx.common.data_types").StringTensorType([None, 1])
    onnx = _untyped("skl2onnx").to_onnx(model, initial_types=[("text", word)], options={"zipmap": False})
    for node in onnx.graph.node:
        if node.op_type == "StringNormalizer":  # without a locale it wants en_US.UTF-8, which is missing on many machines
            kept = [attribute for attribute in node.attribute if attribute.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*kept, _untyped("onnx.helper").make_attribute("locale", "C.UTF-8")])
    return _built(onnx, (Tensor("text", "BYTES", (-1, 1)),), {"text": texts}, model.predict_proba(texts)[:, 1])


def _built(onnx: Any, inputs: tuple[Tensor, ...], rows: dict[str, list[Any]], scores: Any) -> Model:
    outputs = (Tensor("label", "INT64", (-1,)), Tensor("probabilities", "FP32", (-1, 2)))
    signature = Signature(inputs, outputs, "probabilities", ("stays", "leaves"))
    return Model(onnx.SerializeToString(), signature, ParityFixture(rows, [float(score) for score in scores], 1e-4))


def body(n: int = 1, **more: Any) -> dict[str, Any]:
    """Return an infer request for the tabular model."""
    columns = {"age": ("FP32", [30.5 + i for i in range(n)]), "spend": ("FP32", [10.0] * n), "plan": ("BYTES", ["basic"] * n)}
    inputs = [{"name": name, "datatype": kind, "shape": [n, 1], "data": data} for name, (kind, data) in columns.items()]
    return {"inputs": inputs, **more}


@dataclass
class Server:
    """A running process and how to call it as a tenant; grpc is its address, if it was started with a port for that."""

    process: "subprocess.Popen[str]"
    url: str
    grpc: str = ""

    def client(self, tenant: TenantId | None = ACME) -> httpx.Client:
        return httpx.Client(base_url=f"{self.url}/tenants/{tenant or ACME}", headers=bearer(tenant), timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def bearer(tenant: TenantId | None) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[tenant]}"}


@dataclass
class World:
    """An object store in a folder that plays the control plane's part."""

    folder: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sequence: int = 0

    @property
    def objects(self) -> FolderObjects:
        return FolderObjects(self.folder / "objects")

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def target(self, model: Model, version: int = 1, threshold: float = 0.5) -> Target:
        parity = self.objects.put(msgspec.json.encode(model.fixture))
        return Target(ModelRef("churn", version), self.objects.put(model.onnx), model.signature, threshold, parity)

    def service(self, live: Target, revision: int = 1, key: DeploymentKey = CHURN) -> Service:
        return Service(key, revision, live)

    def with_candidate(self, service: Service, target: Target, mode: Mode, share: float = 1.0) -> Service:
        return replace(service, candidate=Candidate(target, mode, share))

    def publish(self, services: Sequence[Service], *, sequence: int | None = None, key: Ed25519PrivateKey | None = None) -> int:
        self.sequence = sequence if sequence is not None else self.sequence + 1
        grants = tuple(KeyGrant(digest_of(text.encode()), tenant) for tenant, text in KEYS.items())
        manifest = Manifest(self.sequence, datetime.now(UTC), tuple(services), grants)
        text = msgspec.json.encode(manifest).decode()
        signature = base64.b64encode((key or self.key).sign(text.encode())).decode()
        self.objects.publish("manifest/current", msgspec.json.encode(SignedManifest(text, signature, "k1")))
        return self.sequence

    @contextmanager
    def server(self, *more: str) -> Iterator[Server]:
        """Start a server; more: further arguments, such as `--grpc-port 0`."""
        with self._started("custody.bootstrap.inference", more) as server:
            yield server

    @contextmanager
    def serve(self, *more: str) -> Iterator[Server]:
        """Start `custody serve`; more: further arguments, such as `--workers 3`."""
        with self._started("custody.cli.main", more, "serve") as server:
            yield server

    @contextmanager
    def changed(self, change: str, *more: str) -> Iterator[Server]:
        """Start a server after a statement that changes what no option does, so that a test need not wait."""
        with self._started("custody.bootstrap.inference", more, change=change) as server:
            yield server

    @contextmanager
    def _started(self, module: str, more: Sequence[str], *verb: str, change: str = "") -> Iterator[Server]:
        how = ["-c", f"{change}\nfrom {module} import main\nmain()"] if change else ["-m", module]
        command = [sys.executable, *how, *verb, "--objects", f"file:{self.folder / 'objects'}"]
        command += ["--public-key", self.public_key.hex(), "--port", "0", "--state-dir", str(self.folder / "state"), *more]
        log = (self.folder / f"log-{secrets.token_hex(3)}").open("w")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "TZ": "UTC"})
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("inference ready on "), Path(log.name).read_text()
            url = line.removeprefix("inference ready on ").strip()
            grpc = process.stdout.readline().removeprefix("grpc ready on ").strip() if "--grpc-port" in more else ""
            yield Server(process, url, grpc)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(20)  # workers of a killed process notice, and stop
            process.stdout.close()
            log.close()

    def captures(self) -> list[Capture]:
        """Return everything that was shipped."""
        found: list[Capture] = []
        for name in self.objects.names("captures/"):
            batch = self.objects.read(name)
            assert batch is not None
            found += read_batch(batch)
        return found

    @property
    def spooled(self) -> list[Path]:
        """Return the journals and spool files that hold captures; the server may remove one while it is looked at."""
        found = [journal for folder in (self.folder / "state").glob("**/") for journal in left_in(folder) if left(journal)[1]]
        for path in (self.folder / "state").glob("**/spool/*/*.ndjson"):
            with suppress(FileNotFoundError):
                if path.stat().st_size:
                    found.append(path)
        return found


def metrics_of(server: Server, tenant: TenantId | None = None) -> str:
    """Return the metrics as a tenant's key sees them; None is the team's, which sees all."""
    return httpx.get(f"{server.url}/metrics", headers=bearer(tenant), timeout=30).text


def metric(server: Server, name: str) -> int:
    """Return the sum of a metric's samples that have all the labels which the name has."""
    found = [
        int(value)
        for sample, _, value in (line.rpartition(" ") for line in metrics_of(server).splitlines())
        if sample.partition("{")[0] == name.partition("{")[0] and _labels(name) <= _labels(sample)
    ]
    if not found:
        raise KeyError(name)
    return sum(found)


def _labels(sample: str) -> set[str]:
    return set(re.findall(r'\w+="[^"]*"', sample))
