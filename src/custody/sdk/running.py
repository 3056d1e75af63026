"""Inside a training script: read data, log what was done, hand over the model."""

import io
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from custody.core.errors import InvalidInput
from custody.core.exported import Exported, Exporter
from custody.sdk.client import Client, connect

if TYPE_CHECKING:
    import pyarrow as pa

_PACKAGES = ("custody-ml", "numpy", "pandas", "scikit-learn", "skl2onnx", "onnx", "xgboost", "lightgbm", "torch")


class ActiveRun:
    """A run that is going on."""

    def __init__(self, client: Client, id: str) -> None:  # noqa: A002 - the field's word
        self.client, self.id = client, id

    def dataset(self, ref: str | None = None, *, split: str = "train", reweigh: str = "") -> "pa.Table":
        """Return rows of a dataset version and record that this run read them.

        ref: `tickets@3`; CUSTODY_DATASET wins over it, so that a retraining runs the same script on newer data. reweigh: a column
        of groups; the rows then have a column `custody_weight` to fit with, under which the target does not depend on the group.
        Raises Denied if the dataset's provenance card does not allow training.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 - half a second that the command line never needs

        chosen = os.environ.get("CUSTODY_DATASET") or ref
        if not chosen:
            raise InvalidInput("Which dataset?", fix="run.dataset('tickets@1'), or set CUSTODY_DATASET=tickets@1")
        return pq.read_table(io.BytesIO(self.client.run_data(self.id, chosen, split=split, reweigh=reweigh)))

    def param(self, **params: object) -> None:
        """Log parameters; each is written once."""
        self.client.run_log(self.id, params={name: str(value) for name, value in params.items()})

    def metric(self, **metrics: float) -> None:
        """Log metrics; the last value of a name stays."""
        self.client.run_log(self.id, metrics={name: float(value) for name, value in metrics.items()})

    def log_model(self, name: str, model: Any, *, sample: Any) -> Exported:
        """Convert a fitted model to ONNX and log it; sample: rows to prove on that both decide the same.

        Works for every framework with an exporter (entry points `custody.exporters`); today scikit-learn.
        """
        exported = exporter_of(model)(model, sample)
        logged = {
            "name": name,
            "artifact": self.client.object_add(exported.onnx),
            "fixture": self.client.object_add(msgspec.json.encode(exported.fixture)),
            "signature": asdict(exported.signature),
            "framework": exported.framework,
            "notes": list(exported.notes),
        }
        self.client.run_log(self.id, models=[logged])
        return exported


def exporter_of(model: Any) -> Exporter:
    """Return the exporter of a model's framework, by the root module of its classes."""
    roots = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    for root in roots:
        for found in entry_points(group="custody.exporters", name=root):
            exporter: Exporter = found.load()
            return exporter
    raise InvalidInput(
        f"custody cannot convert a {type(model).__module__}.{type(model).__name__}.",
        why=f"Exporters are installed for: {', '.join(e.name for e in entry_points(group='custody.exporters'))}.",
    )


@contextmanager
def run(name: str | None = None, *, purpose: str = "", client: Client | None = None) -> Iterator[ActiveRun]:
    """Open a run around a training script; under `custody run exec` it joins the run that was opened there.

    purpose: what the model is for, such as `train_ai_system`; data about people is read for a stated purpose only.
    An exception inside ends the run as failed.
    """
    own = client is None
    opened = client or connect()
    joined = os.environ.get("CUSTODY_RUN")
    if joined:
        run_id = joined
        if purpose:
            opened.run_log(run_id, purpose=purpose)
    else:
        title = name or Path(sys.argv[0]).stem or "run"
        run_id = opened.run_begin(title, code_version=code_version(), environment=environment(), purpose=purpose).data["id"]
    try:
        yield ActiveRun(opened, run_id)
        if not joined:
            opened.run_end(run_id, "finished")
    except BaseException as error:
        if not joined:
            opened.run_end(run_id, "killed" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    finally:
        if own:
            opened.close()


def environment() -> dict[str, str]:
    """Return what the code runs on: Python, platform and the versions of the packages that matter."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def code_version(folder: Path | None = None) -> str:
    """Return the git commit of the code, with `+changes` if files differ from it; empty outside a repository."""
    where = str(folder or Path.cwd())
    try:
        commit = subprocess.run(["git", "-C", where, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        state = subprocess.run(
            ["git", "-C", where, "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip() + ("+changes" if state.stdout.strip() else "")
