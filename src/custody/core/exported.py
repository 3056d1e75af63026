"""A model as it leaves training: what an exporter gives and a run logs."""

from dataclasses import dataclass
from typing import Any, Protocol

from custody.core.manifest import ParityFixture
from custody.core.schema import Signature


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file with its signature and the fixture that proves it decides like the original."""

    onnx: bytes
    signature: Signature
    fixture: ParityFixture
    framework: str
    notes: tuple[str, ...] = ()


class Exporter(Protocol):
    """Converts a fitted model; named under the entry-point group `custody.exporters` by the framework's root module."""

    def __call__(self, model: Any, sample: Any) -> Exported:
        """Convert, or raise InvalidInput that says what cannot be converted."""
        ...
