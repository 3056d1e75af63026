"""Captured texts without the personal data that is found in them: what a tenant's policy says, before anything is stored."""

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from custody.core.manifest import CaptureRule
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import ScrubPolicy
from custody.privacy.scrub import scrub_where_found


class _Inputs(msgspec.Struct):
    """What a line has of texts."""

    inputs: dict[str, Any]


_inputs = msgspec.json.Decoder(_Inputs)


def scrubbed(lines: bytes, rule: CaptureRule) -> bytes:
    """Scrub the text inputs of capture lines; a line in which nothing was found stays byte for byte.

    An input's name is the hint for its values. Tags stand for what was found: the data plane holds no key for pseudonyms.
    Raises: ValueError for a line that is not JSON; nothing may be stored then.
    """
    if not rule.scrub or not lines:
        return lines
    found = [(line, _inputs.decode(line).inputs) for line in lines.removesuffix(b"\n").split(b"\n")]
    texts: dict[str, dict[str, None]] = {}  # each once, in the order in which they lie in memory
    for _, inputs in found:
        for name, values in inputs.items():
            if isinstance(values, list):  # else numbers, packed as base64
                texts.setdefault(name, {}).update(dict.fromkeys(_texts(values)))
    policy = ScrubPolicy(name="captures", tier=Tier(rule.tier), keep=rule.keep)
    changed = {name: _changed([*some], name, policy) for name, some in texts.items() if some}
    if not any(changed.values()):
        return lines
    return b"".join(_line(line, inputs, changed) for line, inputs in found)


def _texts(values: list[Any]) -> Iterator[str]:
    """Return the texts among values; rows wider than one are lists."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from _texts(value)


def _changed(texts: list[str], name: str, policy: ScrubPolicy) -> dict[str, str]:
    return {texts[place]: one.text for place, one in scrub_where_found(texts, policy, hint=name).items()}


def _line(line: bytes, inputs: dict[str, Any], changed: dict[str, dict[str, str]]) -> bytes:
    own = {name: {*_texts(values)} for name, values in inputs.items() if isinstance(values, list) and changed.get(name)}
    touched = [name for name, texts in own.items() if not changed[name].keys().isdisjoint(texts)]
    if not touched:
        return line + b"\n"
    record = orjson.loads(line)
    for name in touched:
        record["inputs"][name] = _replaced(inputs[name], changed[name])
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _replaced(values: list[Any], changed: dict[str, str]) -> list[Any]:
    return [
        changed.get(value, value) if isinstance(value, str) else _replaced(value, changed) if isinstance(value, list) else value
        for value in values
    ]
