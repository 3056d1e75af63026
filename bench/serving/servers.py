"""Every server of the benchmark: how it starts, how it is spoken to, what is pinned for it."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bodies import PLAIN, V2_BINARY, V2_COLUMNS, V2_JSON, Format, Headers
from bucket import KEYS
from models import FEATURES, Model
from world import KEY, PEERS, names, path_of, publish

V2_PATH, PLAIN_PATH = "/v2/models/bench/infer", "/predict"
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "DO_NOT_TRACK"), "1")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to run: interpreter, first of three ports, model, scratch folder; store: see `publish`."""

    python: Path
    port: int
    model: Model
    folder: Path
    deployments: int = 1
    share: float = 1.0
    store: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that starts a server, and where it answers."""

    command: list[str]
    paths: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Headers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the comparison; peer names the lock of its environment, "" the environment that runs this.

    checked: whether its answers are scores, to be compared with the original model's.
    """

    title: str
    peer: str
    launch: Callable[[Place], Launch]
    formats: Mapping[str, Format]
    distributions: tuple[str, ...] = ()
    checked: bool = True


def environment_of(server: Server, place: Place, launch: Launch) -> dict[str, str]:
    """Return the environment variables of a server's processes; peers do not see this project's path."""
    kept = {name: value for name, value in os.environ.items() if not (server.peer and name.startswith("PYTHON"))}
    path = f"{place.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**kept, **ALONE, "PATH": path, "BENCH_MODEL": str(place.model.path.resolve()), **launch.environment}


def custody(place: Place, *, in_turns: bool = False) -> Launch:
    """Start the product's inference server, with everything that it does for users; in turns, it records every other 50 ms."""
    world = publish(place.model, place.folder, place.deployments, place.share, place.store)
    paths = [path_of(name) for name in names(place.deployments)]
    environment = {"TURNS": str(place.folder / "turns.json"), **KEYS}
    return Launch(world.command(place.port, in_turns=in_turns), paths, environment, {"Authorization": f"Bearer {KEY}"})


def _script(name: str, *more: str) -> Callable[[Place], Launch]:
    return lambda place: Launch([str(place.python), str(PEERS / name), str(place.port), *more], [PLAIN_PATH])


def _kserve(place: Place) -> Launch:
    return Launch([str(place.python), str(PEERS / "kserve_model.py"), str(place.port)], [V2_PATH])


def _mlserver(workers: int | None) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        ports = {"http_port": place.port, "grpc_port": place.port + 1, "metrics_port": place.port + 2}
        settings = {"host": "127.0.0.1", "debug": False, **ports}
        if workers is not None:
            settings["parallel_workers"] = workers
        (place.folder / "settings.json").write_text(json.dumps(settings))
        model = {"name": "bench", "implementation": "mlserver_runtime.OnnxRuntime"}
        (place.folder / "model-settings.json").write_text(json.dumps(model))
        command = [str(place.python.parent / "mlserver"), "start", str(place.folder)]
        return Launch(command, [V2_PATH], {"PYTHONPATH": str(PEERS)})

    return launch


def _bentoml(place: Place) -> Launch:
    command = [str(place.python.parent / "bentoml"), "serve", "bentoml_service:Classifier", "--working-dir", str(PEERS)]
    own = {"BENTOML_HOME": str(place.folder / "home"), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(PEERS)}
    return Launch([*command, "--host", "127.0.0.1", "--port", str(place.port)], [PLAIN_PATH], own)


def _mlflow(place: Place) -> Launch:
    saved = place.model.path.with_suffix(".mlflow").resolve()
    own = {"MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "false", "UVICORN_LOG_LEVEL": "warning"}
    if not (saved / "MLmodel").exists():
        make = [str(place.python), str(PEERS / "mlflow_model.py"), str(saved), str(FEATURES)]
        subprocess.run(make, check=True, env={**os.environ, **own, "PYTHONPATH": "", "BENCH_MODEL": str(place.model.path)})
    command = [str(place.python.parent / "mlflow"), "models", "serve", "-m", str(saved), "--env-manager", "local"]
    return Launch([*command, "-h", "127.0.0.1", "-p", str(place.port)], ["/invocations"], own)


_FRONT = ("uvicorn", "uvloop", "httptools", "numpy", "onnxruntime")
_OWN = {"json": V2_JSON, "binary": V2_BINARY, "columns": V2_COLUMNS}
SERVERS = {
    "custody": Server("custody", "", custody, _OWN, ("custody-ml", *_FRONT, "msgspec", "orjson", "pysimdjson")),
    "custody-in-turns": Server("custody with capture in turns", "", partial(custody, in_turns=True), _OWN),
    "noop": Server("no-op application on the same uvicorn", "", _script("noop_app.py"), {"json": V2_JSON}, checked=False),
    "bare": Server("the least that answers, on the same uvicorn", "", _script("bare_app.py"), {"json": V2_JSON}),
    "bare-binary": Server("the least that answers in binary", "", _script("bare_app.py", "binary"), {"binary": V2_BINARY}),
    "mlserver-0": Server("MLServer, parallel_workers=0", "mlserver", _mlserver(0), {"json": V2_JSON}, ("mlserver", *_FRONT)),
    "mlserver": Server("MLServer, default", "mlserver", _mlserver(None), {"json": V2_JSON}, ("mlserver", *_FRONT)),
    "kserve": Server("KServe SDK", "kserve", _kserve, {"json": V2_JSON}, ("kserve", *_FRONT)),
    "litserve": Server("LitServe", "litserve", _script("litserve_api.py"), {"json": PLAIN}, ("litserve", *_FRONT)),
    "bentoml": Server("BentoML", "bentoml", _bentoml, {"json": PLAIN}, ("bentoml", *_FRONT)),
    "mlflow": Server("mlflow models serve", "mlflow", _mlflow, {"json": PLAIN}, ("mlflow", *_FRONT)),
    "fastapi-def": Server("FastAPI, def", "fastapi", _script("fastapi_app.py", "def"), {"json": PLAIN}, ("fastapi", *_FRONT)),
    "fastapi-async": Server(
        "FastAPI, async def", "fastapi", _script("fastapi_app.py", "async"), {"json": PLAIN}, ("fastapi", *_FRONT)
    ),
}
