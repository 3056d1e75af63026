"""Keeping a share of the captured rows on their way to the object store, in the thread that ships them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from custody.core.digest import Digest
from custody.core.objects import Objects
from custody.core.refs import ModelRef
from custody.inference.models.library import State
from custody.serving import deployment_of

if TYPE_CHECKING:
    from custody.serving.sampling import Rule


class Sampler:
    """Samples captured lines by the share that the served manifest has for their deployment, and summarises the other rows.

    Rows of targets that are not served any more, or have no reference yet to be counted by, are all kept.
    """

    def __init__(self, state: Callable[[], State], objects: Objects) -> None:
        self._state, self._objects = state, objects
        self._rules: dict[tuple[Digest, float], Rule] = {}

    def sample(self, pieces: Iterator[bytes]) -> Iterable[bytes]:
        """Return the lines that are kept, and summaries of the other rows; a deployment that keeps all costs nothing here.

        pieces: of whole lines, all of one deployment.
        """
        first = next(pieces, b"")
        if not first:
            return ()
        whole = chain((first,), pieces)
        served = self._state().served.get(deployment_of(first))
        if served is None or served.service.handling.capture_share >= 1:
            return whole
        from custody.core.measures.summary import Summary  # noqa: PLC0415 - brings pyarrow, which servers that keep all do without
        from custody.serving.sampling import Rule, sampled  # noqa: PLC0415 - the same

        share = served.service.handling.capture_share
        rules: dict[tuple[ModelRef, float], Rule] = {}
        for target in (arm.target for arm in served.arms if arm.target.reference is not None):
            assert target.reference is not None
            name = target.reference, share
            if name not in self._rules:
                reference = Summary.from_json(msgspec.json.decode(self._objects.get(target.reference)))
                self._rules[name] = Rule(share, target.reference, reference.specs)
            rules[target.model, target.threshold] = self._rules[name]
        return (sampled(whole, rules),) if rules else whole
