"""A request as the predictor sees it, whatever protocol it came by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from custody.core.schema import Signature
from custody.serving import Given


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that the caller asks for, as JSON or as bytes behind the JSON."""

    name: str
    binary: bool


class Asked(Protocol):
    """A decoded request.

    id: the caller's own name for it, or empty. outputs: empty means the usual ones, in the form that `binary` says.
    size_bytes: of the body it came from.
    """

    @property
    def id(self) -> str: ...  # noqa: D102 - told above
    @property
    def parameters(self) -> Mapping[str, object]: ...  # noqa: D102 - told above
    @property
    def outputs(self) -> tuple[Wanted, ...]: ...  # noqa: D102 - told above
    @property
    def binary(self) -> bool: ...  # noqa: D102 - told above
    @property
    def size_bytes(self) -> int: ...  # noqa: D102 - told above

    def tensors_for(self, signature: Signature) -> Sequence[Given]:
        """Return the tensors as a model of this signature takes them; InvalidInput if they cannot be made."""
        ...
