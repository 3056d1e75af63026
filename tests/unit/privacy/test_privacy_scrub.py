"""Scrubbing: what is removed, what stays, and the laws: idempotent, never a crash, nothing planted survives."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import SCRIPTS, SURE, in_script

from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId
from custody.privacy.finding import Finding
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.pseudonym import PseudonymKey, pseudonym
from custody.privacy.scrub import Scrubbed, scrub, scrub_all
from custody.privacy.tags import TAG, tag

KEY = PseudonymKey(TenantId("acme"), "k1", b"k" * 32)
POLICIES = st.builds(lambda tier, mode: ScrubPolicy(tier=tier, mode=mode), st.sampled_from(Tier), st.sampled_from(Mode))
PIECES = (
    *(
        "a@b.co",
        "4111 1111 1111 1111",
        "[",
        "]",
        "EMAIL",
        "[EMAIL]",
        "phone",
        "12",
        "Main St",
        "\n",
        " ",
        "-",
        ".",
        "born",
        "1985-03-02",
    ),
    *(
        "+44 20 7946 0958",
        "://",
        "x",
        "DE89 3704",
        "0044 0532 0130 00",
        ":",
        "@",
        "ab.com",
        "1",
        "٣",
        "é",
        "Dr. ",
        "password=",
        "\ud800",
    ),
)
PATCHWORK = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


class Names:
    """A detector of two names, as a model would be."""

    name = "names 1"

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:  # noqa: ARG002 - the port's name
        return [
            [
                Finding(at, at + len(word), "PERSON")
                for word in ("Ana Ruiz", "Li")
                for at in range(len(text))
                if text.startswith(word, at)
            ]
            for text in texts
        ]


class Restless:
    """A detector that takes the first character that is not a bracket, whatever it is, until none is left."""

    name = "restless 1"

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:  # noqa: ARG002 - the port's name
        return [[Finding(0, 1, "MOOD")] if text else [] for text in texts]


def rebuilt(text: str, done: Scrubbed, mode: Mode) -> str:
    """Put the result together from the spans, which count on the text that was given."""
    parts, at = [], 0
    for span in done.spans:
        assert at <= span.start < span.end <= len(text)
        parts += [
            text[at : span.start],
            "" if mode is Mode.DROP else tag(span.type, span.token if mode is Mode.PSEUDONYM else None),
        ]
        at = span.end
    return "".join([*parts, text[at:]])


def test_text_in_text_out_with_what_was_where() -> None:
    done = scrub("Ana Ruiz, ana@example.org", ScrubPolicy(), detectors=[Names()])
    assert done.text == "[PERSON], [EMAIL]"
    assert [(span.type, span.start, span.end, span.token) for span in done.spans] == [
        ("PERSON", 0, 8, None),
        ("EMAIL", 10, 25, None),
    ]
    assert done.counts == {"PERSON": 1, "EMAIL": 1}


def test_pseudonyms_join_and_dropping_leaves_nothing() -> None:
    policy = ScrubPolicy(mode=Mode.PSEUDONYM)
    one, other = scrub_all(["from ana@example.org", "to ANA@example.org!"], policy, key=KEY)
    assert one.spans[0].token == other.spans[0].token == pseudonym("ana@example.org", KEY, "EMAIL")
    assert one.text == f"from [EMAIL:{one.spans[0].token}]"
    assert scrub("a ana@example.org b", ScrubPolicy(mode=Mode.DROP)).text == "a  b"
    with pytest.raises(InvalidInput, match="no key"):
        scrub("x", policy)


def test_overlaps_become_one_span_of_the_longest_finding() -> None:
    done = scrub("see https://ann:pw@example.org/x", ScrubPolicy())
    assert [span.type for span in done.spans] == ["URL_CREDENTIALS"]


def test_what_the_policy_keeps_stays() -> None:
    assert scrub("example.org or a@example.org", ScrubPolicy(keep=("URL",))).text == "example.org or [EMAIL]"


def test_a_type_nobody_knows_becomes_other() -> None:
    assert scrub("xy", ScrubPolicy(), detectors=[Restless()]).text == "[OTHER]y"


def test_the_hint_is_context() -> None:
    assert scrub("123456782", ScrubPolicy()).text == "123456782"
    assert scrub("123456782", ScrubPolicy(), hint="bsn").text == "[NL_BSN]"


def test_a_wrong_policy_names_all_its_faults() -> None:
    with pytest.raises(InvalidInput, match="2 wrong fields: keep, min_k"):
        ScrubPolicy(keep=("NOSE",), min_k=0)
    assert ScrubPolicy().digest != ScrubPolicy(keep=("URL",)).digest


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.text(st.characters(), max_size=60), PATCHWORK), POLICIES)
def test_scrubbing_twice_is_scrubbing_once_and_offsets_are_of_the_text_given(text: str, policy: ScrubPolicy) -> None:
    once = scrub(text, policy, key=KEY)
    assert once.text == rebuilt(text, once, policy.mode)
    again = scrub(once.text, policy, key=KEY)
    assert again == Scrubbed(once.text)


@settings(max_examples=40, deadline=None)
@given(PATCHWORK, st.sampled_from([Mode.TAG, Mode.DROP]))
def test_so_it_is_with_detectors_that_are_settled(text: str, mode: Mode) -> None:
    policy = ScrubPolicy(mode=mode, settle_detectors=True)
    once = scrub(text, policy, detectors=[Names(), Restless()])
    assert scrub(once.text, policy, detectors=[Names(), Restless()]) == Scrubbed(once.text)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(sorted(SURE)).flatmap(lambda kind: st.tuples(st.just(kind), SURE[kind])),
    st.sampled_from(["", "x ", "so (", "«", "a: "]),
    st.sampled_from(["", " y", ").", "»", ", and"]),
    st.sampled_from(Tier),
)
def test_no_planted_identifier_survives_either_tier(planted: tuple[str, str], before: str, after: str, tier: Tier) -> None:
    kind, value = planted
    done = scrub(f"{before}{value}{after}", ScrubPolicy(tier=tier))
    left = TAG.sub("", done.text)
    assert sum(char.isalnum() for char in left) <= sum(char.isalnum() for char in before + after), (kind, value, done.text)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["CREDIT_CARD", "IBAN", "BR_CPF", "TR_TCKN", "PHONE"]).flatmap(lambda kind: SURE[kind]),
    st.sampled_from(SCRIPTS),
)
def test_digits_of_other_scripts_hide_nothing(value: str, script: str) -> None:
    assert not any(char.isdecimal() for char in TAG.sub("", scrub(in_script(value, script), ScrubPolicy()).text))


def test_one_call_for_many_texts_gives_what_single_calls_give() -> None:
    texts = ["a@b.co", "", "nothing", "call 555 0187", "Ana Ruiz"]
    assert scrub_all(texts, ScrubPolicy(), detectors=[Names()]) == [
        scrub(text, ScrubPolicy(), detectors=[Names()]) for text in texts
    ]
