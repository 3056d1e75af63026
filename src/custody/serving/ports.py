"""What serving needs from a model runtime."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from custody.core.schema import Signature

Arrays = Mapping[str, NDArray[Any]]  # by tensor name; row i of every array belongs to row i of the others


class Model(Protocol):
    """A loaded model; safe to call from several threads.

    provider: what runs it, in the runtime's own word. fell_back: a GPU is there and could not load it.
    """

    provider: str
    fell_back: bool

    def scores(self, inputs: Arrays) -> NDArray[np.float64]:
        """Return the positive class's score of each row, shape (n,)."""
        ...

    def run(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Return the model's own outputs by name; None means all."""
        ...


class Loader(Protocol):
    """Makes a model from its bytes."""

    def __call__(self, body: bytes, signature: Signature) -> Model:
        """Load a model; InvalidInput if the bytes are no model, or one with other inputs or outputs than the signature."""
        ...
