"""What becomes of captured lines before they are stored, in the thread that ships them: personal data is removed, rows are sampled."""

import os
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING

import msgspec

from custody.core.digest import Digest
from custody.core.manifest import CaptureRule
from custody.core.objects import Objects
from custody.core.refs import ModelRef
from custody.inference.models.library import Arm, Served, State
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
        numbers = () if served is None else tuple(arm.line for arm in served.arms if not _has_texts(arm))
        if share >= 1 and not pays(first) and _is_whole(file) and all(_begin_with(piece, numbers) for piece in _pieces(file)):
            return None
        rule = CaptureRule() if served is None else served.service.captures
        # first of all, so that summaries count what is kept
        cleaned = (piece if _begin_with(piece, numbers) else scrubbed(piece, rule) for piece in _pieces(file))
        return cleaned if served is None or share >= 1 else self._sampled(cleaned, served, share)

    def _sampled(self, pieces: Iterable[bytes], served: Served, share: float) -> Iterable[bytes]:
        """Return the lines that are kept, and summaries of the other rows."""
        from custody.core.measures.summary import Summary  # noqa: PLC0415 - brings pyarrow, which servers that keep all do without
        from custody.serving.sampling import Rule, sampled  # noqa: PLC0415 - the same

        rules: dict[tuple[ModelRef, float], Rule] = {}
        for target in (arm.target for arm in served.arms if arm.target.reference is not None):
            assert target.reference is not None
            name = target.reference, share
            if name not in self._rules:
                reference = Summary.from_json(msgspec.json.decode(self._objects.get(target.reference)))
                self._rules[name] = Rule(share, target.reference, reference.specs)
            rules[target.model, target.threshold] = self._rules[name]
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


def _has_texts(arm: Arm) -> bool:
    return any(tensor.datatype == "BYTES" for tensor in arm.target.signature.inputs)
