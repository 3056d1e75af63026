"""A model version: the artifact that serves, its signature, its registered metrics, the run it came from."""

from dataclasses import dataclass
from datetime import datetime

from custody.core.digest import Digest
from custody.core.evidence import Measured, Parity
from custody.core.refs import ModelRef
from custody.core.schema import Signature
from custody.registry.run import DatasetUse


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """An immutable version.

    registered: metrics and groups that custody measured on the holdout rows of `datasets`, at each threshold of the gate's
    policy. parity: measured by custody at the same thresholds. fixture: the rows and original scores behind it.
    """

    ref: ModelRef
    artifact: Digest
    size_bytes: int
    signature: Signature
    framework: str
    fixture: Digest
    parity: tuple[Parity, ...]
    registered: tuple[Measured, ...]
    run_id: str
    datasets: tuple[DatasetUse, ...]
    created_at: datetime
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What a list of model versions shows."""

    ref: ModelRef
    artifact: Digest
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alias:
    """A movable name for a version, such as `champion`; deploys nothing by itself."""

    name: str
    model: ModelRef
