"""The quick look names every row that finds something: each step on the way from a row's regex to RE2's answer is held to that."""

import random
import re
import sys
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from re import _compiler as compiler  # type: ignore[attr-defined]  # what `re` itself reads and compiles
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st
from steps import sample
from test_privacy_patterns import FOUND, LEFT

from custody.privacy.context import near, spoken
from custody.privacy.detect import PatternDetector
from custody.privacy.finding import Finding
from custody.privacy.patterns import loosened as loosened_module
from custody.privacy.patterns.loosened import DIGITS, EDGE, STARTS, loosened, plain, run
from custody.privacy.patterns.pack import PACK
from custody.privacy.patterns.pattern import Pattern, Tier
from custody.privacy.patterns.prefilter import MEMORY, Prefilter, RowSet
from custody.privacy.tags import blanked

DETECTORS = {tier: PatternDetector(tier) for tier in Tier}
HINTS = ("", "customerPhone", "date of birth", "bsn", "[PHONE]")


@cache
def prefilter(tier: Tier) -> Prefilter:
    return Prefilter(PACK.of(tier), tier)


def everything(detector: PatternDetector, text: str, hint: str) -> Sequence[Finding]:
    return detector._found(text, range(len(detector.patterns)), hint)


def named(text: str, tier: Tier, hint: str = "") -> Sequence[int]:
    return next(iter(prefilter(tier).candidates([text], hint=hint)))


NOISE = st.text(
    st.sampled_from("aKsI1 7.-,@:\n\x1c\x00é\u0130\u0131\u017f\u212a٣\u2019\u200d日😀\ud800"), max_size=12
) | st.sampled_from(("word " * 20, "No. 7 ", "tel", "born ", "call", "(", " bank", "ID"))


@settings(max_examples=600, deadline=None)
@given(st.data(), st.sampled_from(PACK.patterns), st.sampled_from(Tier), NOISE, NOISE)
def test_a_row_that_finds_something_is_named(data: Any, row: Pattern, tier: Tier, before: str, after: str) -> None:
    drawn = data.draw(st.integers(0, 2**64).map(lambda seed: sample(row.regex, random.Random(seed))) | st.from_regex(row.regex))
    changed = data.draw(st.sampled_from((str, str.upper, str.lower, str.swapcase, _kelvin)))(drawn)
    word = data.draw(st.sampled_from(("", *row.context)))
    for text in (before + changed + after, word + changed, changed + word, f"{word} {before}{changed}{after}"):
        for hint in ("", word):
            found = everything(DETECTORS[tier], text, hint)
            quick = DETECTORS[tier]._found(text, named(text, tier, hint), hint)
            assert list(quick) == list(found)


@pytest.mark.parametrize("tier", Tier)
def test_a_row_is_named_wherever_each_of_its_words_touches_its_match(tier: Tier) -> None:
    rng, detector = random.Random(20), DETECTORS[tier]
    for index, row in enumerate(detector.patterns):
        for word in row.context if row.asked(tier) else ():
            match = sample(row.regex, rng)
            for text in (
                word + match,
                f"{word} {match}",
                match + word,
                f"{match} {word}",
                f"{word}s{match}",
                f"a {word}: {match}b",
            ):
                if detector._found(text, [index], ""):
                    assert index in named(text, tier), (row.name, word)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NOISE | st.sampled_from([text for _, text, _ in FOUND]) | st.sampled_from(("word", "long " * 14_000)), max_size=40),
    st.sampled_from(Tier),
    st.sampled_from(HINTS),
)
def test_rows_are_named_for_texts_together_as_for_each_alone(texts: list[str], tier: Tier, hint: str) -> None:
    together = [list(rows) for rows in prefilter(tier).candidates(texts, hint=hint)]
    assert together == [list(named(text, tier, hint)) for text in texts]


@pytest.mark.parametrize("text", ["license #D1234567", "My license #D1234567 expired", "licence #A12345678", "dl #B7654321"])
def test_a_licence_is_found_behind_the_sign_of_its_word(text: str) -> None:
    assert [one.type for one in DETECTORS[Tier.DEFAULT].find([text])[0]] == ["DRIVER_LICENCE"]


@pytest.mark.parametrize("tier", Tier)
def test_all_sets_can_be_searched_in_half_of_their_memory(tier: Tier) -> None:
    half = Prefilter(PACK.of(tier), tier, memory=MEMORY // 2)
    texts = [text for _, text, _ in FOUND]
    assert [*half.candidates(texts)] == [*prefilter(tier).candidates(texts)]


def _kelvin(text: str) -> str:
    return text.translate({ord("k"): "\u212a", ord("s"): "\u017f", ord("i"): "\u0131", ord("I"): "\u0130"})


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(PACK.patterns), NOISE, NOISE)
def test_whatever_a_regex_matches_its_loosened_form_matches(data: Any, row: Pattern, before: str, after: str) -> None:
    text = before + data.draw(st.from_regex(row.regex)) + after
    if match := re.search(row.regex, text):
        read = loosened(row.regex)
        assert searched(read.expression, text)
        digits = [at for at, char in enumerate(match.group()) if char.isdecimal()]
        assert len(digits) >= read.digits
        assert {*plain(match.group())} <= read.holds | {EDGE}
        if digits:
            assert {*plain(match.group()[digits[0] : digits[-1] + 1])} <= read.between | DIGITS | {EDGE}
        if len(digits) >= 2:
            assert searched(run(len(digits), read.between), text)


def searched(expression: str, text: str) -> bool:
    return 7 in RowSet([(expression, 7)])(plain(text))


ODD = (
    r"(?i)(k)\1", r"([ab])x\1", r"(?i:(s))\1", r"(s)(?i:\1)", r"(a)?(?(1)b|c)", r"(?>a|ab)c", r"(?a:\w\d)é", r"[^a]b", r"(?s:.)x", r".x",
    r"a*?b", r"(?:a|b+)++c", r"x{3,40}y", r"x{20,}", r"\Aab|cd\Z", r"(?<!a)(?<!bc)d(?!e|fg)", r"(?<=a)b(?=c)", r"[\W\d]q", r"(?i)[à-ï]z",
    r"(?!)a|b", r"(?i)ß|Å|µ", r"[^\d]7", r"(?-i:a)(?i:b)", r"(?x: a b )", r"(?P<v>a+)b(?P=v)", r"(?!a)b", r"b(?<!ab)", r"(?:a|b(?= [c-e]))x?", r"(?:a(?=b)b|c(?=d|$))", r"\x00\n",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(ODD), NOISE, NOISE)
def test_so_it_is_with_what_no_row_has_yet(data: Any, regex: str, before: str, after: str) -> None:
    text = before + data.draw(st.from_regex(regex)) + after
    assert re.search(regex, text) is None or searched(loosened(regex).expression, text)


@pytest.mark.parametrize(
    ("regex", "text"),
    [(r"(s)(?i:\1)", "sS"), (r"(?i)(k)\1", "k\u212a"), (r"x(?=b)[ab]c", "xbc"), (r"(?i:\u00df)", "\u1e9e"), (r"a(?!b)$", "a")],
)
def test_a_text_that_only_a_rare_turn_of_a_regex_matches_is_matched(regex: str, text: str) -> None:
    assert re.search(regex, text)
    assert searched(loosened(regex).expression, text)


def test_a_class_becomes_the_bytes_of_all_characters_that_it_takes() -> None:
    """Each class, character and case of each row, against every character that there is."""
    leaves = {leaf for row in PACK.patterns for leaf in _leaves(parser.parse(row.regex))}
    leaves |= {leaf for row in PACK.patterns for leaf in _leaves(parser.parse(f"(?i){near(row.context or ('x',)).pattern}"))}
    every = [chr(code) for code in range(128, sys.maxunicode + 1)]
    beyond = {byte: "".join(chars) for byte, chars in groupby(every, lambda char: plain(char)[1])}
    assert len(leaves) > 150
    for code, value, flags in leaves:
        taken = loosened_module._leaf(code, value, flags)
        item = compiler.compile(parser.SubPattern(parser.State(), [(code, list(value) if code is op.IN else value)]), flags)
        assert all(byte in taken or not item.search(chars) for byte, chars in beyond.items()), (code, value)


def _leaves(tree: Any) -> set[tuple[Any, Any, int]]:
    found: set[tuple[Any, Any, int]] = set()

    def walk(items: Any, flags: int) -> None:
        for code, value in items:
            if code in loosened_module._LEAVES:
                found.add((code, tuple(value) if code is op.IN else value, flags))
            elif code is op.SUBPATTERN:
                walk(value[3], (flags | value[1]) & ~value[2])
            elif code is op.BRANCH:
                for arm in value[1]:
                    walk(arm, flags)
            elif code in loosened_module._REPEATS:
                walk(value[2], flags)
            elif code is op.ATOMIC_GROUP:
                walk(value, flags)

    walk(tree, tree.state.flags)
    return found


def test_every_digit_begins_with_a_byte_of_digits() -> None:
    digits = [chr(code) for code in range(128, sys.maxunicode + 1) if chr(code).isdecimal()]
    assert len(digits) > 600
    assert {plain(digit)[1] for digit in digits} == STARTS


def test_no_character_has_a_case_that_is_not_asked_about() -> None:
    every = map(chr, range(128, sys.maxunicode + 1))
    assert {char for char in every if char.lower() != char or char.upper() != char} == {*loosened_module._cased()}


@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_a_text_is_one_byte_a_character_between_edges(text: str) -> None:
    first, *written, last = plain(text)
    assert (first, last, len(written)) == (EDGE, EDGE, len(text))
    assert all(
        byte == ord(char) if char.isascii() else byte == char.encode(errors="surrogatepass")[0]
        for char, byte in zip(text, written, strict=True)
    )


@pytest.mark.parametrize("row", [row for row in PACK.patterns if row.digits], ids=lambda row: row.name)
@given(data=st.data())
def test_a_check_refuses_what_has_fewer_digits_than_its_row_says(row: Pattern, data: Any) -> None:
    text = data.draw(st.from_regex(row.regex, fullmatch=True))
    assert row.check
    assert sum(char.isdecimal() for char in text) >= row.digits or not row.check.cuts(text)


GLUE = [
    *(" ", " " * 31, " " * 62, "\n", "\x1d", "-", "/", ".", "x", "1", "é", "٣", "\u2019", "[EMAIL]", "[PHONE]"),
    *(
        "call ",
        "tel",
        "her bsn ",
        "123456782",
        "passport ",
        "C01X00T47",
        "zip 62704",
        "konto 12345678",
        "context",
        "dni 12.345.678-Z",
    ),
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([text for _, text, _ in FOUND] + LEFT + GLUE), max_size=6).map("".join),
    st.sampled_from(Tier),
    st.sampled_from(HINTS),
)
def test_it_changes_nothing_that_is_found(text: str, tier: Tier, hint: str) -> None:
    assert list(DETECTORS[tier].find([text], hint=hint)[0]) == list(everything(DETECTORS[tier], text, blanked(spoken(hint))))


@cache
def least(tier: Tier) -> Prefilter:
    """Return a tier's sets in about the least memory that RE2 takes: states are forgotten all the time."""
    memory = 150_000
    while True:
        try:
            starved = Prefilter(PACK.of(tier), tier, memory=memory)
            assert starved._sets
        except re2.error:
            memory = memory * 11 // 10
        else:
            return starved


@pytest.mark.parametrize("tier", Tier)
def test_with_the_least_memory_as_many_rows_are_named(tier: Tier) -> None:
    rng = random.Random(3)
    texts = [text for _, text, _ in FOUND] + ["".join(chr(rng.randint(32, 126)) for _ in range(300)) for _ in range(3)]
    assert least(tier)._memory < 500_000
    for text, rows in zip(texts, least(tier).candidates(texts), strict=True):
        assert set(named(text, tier)) <= set(rows)


@pytest.mark.parametrize("failing", [*prefilter(Tier.DEFAULT)._sets])
def test_a_set_that_ran_out_of_memory_names_all_its_rows(failing: str) -> None:
    """RE2 refuses to compile what has too little memory to search, so an answer of none is made here."""
    tried = Prefilter(PACK.of(Tier.DEFAULT), Tier.DEFAULT)
    tried._sets[failing]._match = lambda _: None
    for _, text, _ in FOUND:
        assert set(named(text, Tier.DEFAULT)) <= set(next(iter(tried.candidates([text]))))
    one = RowSet([("a", 1), ("x", 2), ("x", 3)])
    assert (one(b"x"), one(b""), one(b"ax")) == ([2, 3], [], [1, 2, 3])
    one._match = lambda _: None
    assert one(b"") == [1, 2, 3]


@pytest.mark.parametrize("unit", ["1", "1 ", "1-2.", "٣", "é1", "Aa1 ", "rue 1 ", "tel 1"])
def test_a_long_text_needs_no_more_memory_than_was_given(unit: str) -> None:
    text = plain(unit * 20_000)
    assert [name for name, one in prefilter(Tier.STRICT)._sets.items() if one._match(text) is None] == []


def test_a_text_without_digits_is_shown_to_one_set_and_a_word_without_a_row_names_none() -> None:
    assert named("nothing to see here", Tier.DEFAULT) == []
    assert named("call her, she was born in may", Tier.DEFAULT) == []
    rows = [PACK.of(Tier.DEFAULT)[index].name for index in named("born in 1985", Tier.DEFAULT)]
    assert "birth.year" in rows
    assert "bank.account" not in rows
    assert "birth.year" not in [PACK.of(Tier.DEFAULT)[index].name for index in named("in 1985", Tier.DEFAULT)]


def test_a_regex_that_cannot_be_loosened_is_refused() -> None:
    with pytest.raises(re2.error):
        RowSet([("(?<!a)b", 1)])
