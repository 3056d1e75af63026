"""What becomes of captured lines before they are stored, in the thread that ships them: personal data is removed, rows are sampled."""

import os
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING

import msgspec

from custody.core.digest import Digest
from custody.core.manifest import CaptureRule
from custody.core.objects import Objects
from custody.core.refs import DeploymentKey, ModelRef
from custody.inference.captures.journal import Target
from custody.inference.models.library import Served, State, has_texts
from custody.serving import complete_lines, deployment_of, pays, scrubbed

if TYPE_CHECKING:
    from custody.serving.sampling import Rule


class Preparer:
    """Prepares the lines of one deployment's file by what the served manifest says of it.

    Lines of a deployment or a revision that is not served any more, left by an earlier process say, are scrubbed by default. Rows of
    targets that are not served any more, or have no reference yet to be counted by, are all kept.
    """

    def __init__(self, state: Callable[[], State], objects: Objects) -> None:
        self._state, self._objects = state, objects
        self._rules: dict[tuple[Digest, float], Rule] = {}

    def __call__(self, file: IO[bytes]) -> Iterable[bytes] | None:
        """Return a file's lines as they are to be stored, in pieces; None if that is the file as it is."""
        first = next(complete_lines(file), b"")
        if not first:
            return ()
        served = self._state().served.get(deployment_of(first))
        share = 1.0 if served is None else served.service.handling.capture_share
        numbers = () if served is None else tuple(arm.line for arm in served.arms if not has_texts(arm.target))
        if share >= 1 and not pays(first) and _is_whole(file) and all(_begin_with(piece, numbers) for piece in _pieces(file)):
            return None
        rule = CaptureRule() if served is None else served.service.captures
        # first of all, so that summaries count what is kept
        cleaned = (piece if _begin_with(piece, numbers) else scrubbed(piece, rule) for piece in _pieces(file))
        return cleaned if served is None or share >= 1 else self._sampled(cleaned, served)

    def rule_of(self, target: Target) -> "Rule | None":
        """Tell how the rows of a target are sampled; None if all are kept."""
        served = self._state().served.get(DeploymentKey.parse(target.place))
        rule = None if served is None else self._rules_of(served).get((target.model, target.threshold))
        return rule if rule is not None and rule.sources <= {*target.places, "score", "decision"} else None

    def _rules_of(self, served: Served) -> "dict[tuple[ModelRef, float], Rule]":
        """Return how the rows of each target are sampled that has a reference; nothing where all are kept."""
        share = served.service.handling.capture_share
        targets = () if share >= 1 else [arm.target for arm in served.arms]
        return {(one.model, one.threshold): self._rule(one.reference, share) for one in targets if one.reference is not None}

    def _rule(self, reference: Digest, share: float) -> "Rule":
        from custody.core.measures.summary import Summary  # noqa: PLC0415 - brings pyarrow, which servers that keep all do without
        from custody.serving.sampling import Rule  # noqa: PLC0415 - the same

        if (reference, share) not in self._rules:
            found = Summary.from_json(msgspec.json.decode(self._objects.get(reference)))
            self._rules[reference, share] = Rule(share, reference, found.specs)
        return self._rules[reference, share]

    def _sampled(self, pieces: Iterable[bytes], served: Served) -> Iterable[bytes]:
        """Return the lines that are kept, and summaries of the other rows."""
        from custody.serving.sampling import sampled  # noqa: PLC0415 - as above

        rules = self._rules_of(served)
        return (sampled(pieces, rules),) if rules else pieces


def _pieces(file: IO[bytes]) -> Iterable[bytes]:
    file.seek(0)
    return complete_lines(file)


def _is_whole(file: IO[bytes]) -> bool:
    """Tell whether a file's last line is."""
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _begin_with(lines: bytes, heads: tuple[bytes, ...]) -> bool:
    at = 0
    while at < len(lines):
        if not lines.startswith(heads, at):
            return False
        at = lines.find(b"\n", at) + 1 or len(lines)
    return True
