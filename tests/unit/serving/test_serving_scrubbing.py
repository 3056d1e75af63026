"""Captured texts lose the personal data that is found in them; everything else stays byte for byte."""

from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_serving_capture import ID

from custody.core.manifest import CaptureRule
from custody.serving import Capture, CaptureMode, line_of, read_batch, scrubbed, write_batch

RULE = CaptureRule(keep=("URL",))
ONE = Capture(ID, 1, None, ("a",), CaptureMode.LIVE, None, 0.5, {"text": ["hello"], "age": [30.25]}, [0.7], [True], 90)
TWO = replace(ONE, inputs={"text": ["mail ana@example.org, see http://example.com/x"], "age": [None]})
WIDE = replace(ONE, inputs={"words": [["ana@example.org", "b"]], "age": [1.5]})


def test_a_text_is_scrubbed_and_a_line_without_any_stays_as_it_is() -> None:
    lines = line_of(ONE) + line_of(TWO) + line_of(WIDE)
    first, second, third = scrubbed(lines, RULE).splitlines(keepends=True)
    assert first == line_of(ONE)
    assert orjson.loads(second)["inputs"]["text"] == ["mail [EMAIL], see http://example.com/x"]
    assert orjson.loads(third)["inputs"] == {"words": [["[EMAIL]", "b"]], "age": [1.5]}
    assert [one.id for one in read_batch(write_batch(scrubbed(lines, RULE)))] == [ID] * 3
    assert scrubbed(scrubbed(lines, RULE), RULE) == scrubbed(lines, RULE)


def test_the_rule_may_keep_texts_or_go_further() -> None:
    lines = line_of(TWO)
    assert scrubbed(lines, CaptureRule(scrub=False)) == lines
    assert b"[URL]" in scrubbed(lines, CaptureRule())
    day = line_of(replace(ONE, inputs={"text": ["it was 03/04/2021"]}))
    assert scrubbed(day, RULE) == day
    assert b"03/04" not in scrubbed(day, CaptureRule(tier="strict"))


def test_many_lines_are_scrubbed_piece_by_piece_and_none_is_lost() -> None:
    wordy = line_of(replace(ONE, inputs={"text": ["nothing to see " * 4000]}))
    lines = (wordy + line_of(TWO)) * 40
    assert len(lines) > 2 * 1024 * 1024
    found = scrubbed(lines, RULE).splitlines(keepends=True)
    assert found[0::2] == [wordy] * 40
    assert {orjson.loads(one)["inputs"]["text"][0] for one in found[1::2]} == {"mail [EMAIL], see http://example.com/x"}


def test_packed_numbers_stay_as_they_are() -> None:
    numbers = np.arange(200, dtype=np.float32)
    texts = ["mail ana@example.org", *["b"] * 199]
    many = replace(ONE, inputs={"x": numbers, "text": texts}, scores=[0.5] * 200, decisions=[True] * 200, keys=None)
    (read,) = read_batch(write_batch(scrubbed(line_of(many), RULE)))
    assert list(read.inputs["x"]) == numbers.tolist()
    assert read.inputs["text"][0] == "mail [EMAIL]"


def test_an_inputs_name_is_the_hint_for_its_values() -> None:
    lines = line_of(replace(ONE, inputs={"ssn": ["078051120"]}))
    assert b"078051120" not in scrubbed(lines, RULE)


def test_what_is_no_line_is_never_passed_on() -> None:
    with pytest.raises(ValueError, match="malformed"):
        scrubbed(b"ana@example.org\n", RULE)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=3),
    st.text("ana@example.org 0123", max_size=30),
)
def test_any_text_passes_and_no_planted_address_stays(around: list[str], more: str) -> None:
    texts = [f"{one} kim@example.org {more}" for one in around]
    lines = line_of(replace(ONE, inputs={"text": texts}, scores=[0.5] * len(texts), decisions=[True] * len(texts), keys=None))
    cleaned = scrubbed(lines, RULE)
    assert b"kim@example.org" not in cleaned
    assert len(read_batch(write_batch(cleaned))) == 1
