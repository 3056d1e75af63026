"""Names: what is accepted reads back as it was written; everything else is InvalidInput, never another failure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef, name_of, near

names = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(lambda name: name != "stats")
tenants = st.from_regex(r"[a-z0-9][-a-z0-9]{0,20}[a-z0-9]", fullmatch=True)


@given(names, st.integers(1, 2**31 - 1), st.sampled_from([DatasetRef, ModelRef]))
def test_a_reference_reads_back_as_it_was_written(name: str, version: int, noun: Any) -> None:
    assert noun.parse(str(noun(name, version))) == noun(name, version)


@given(tenants, names, names)
def test_a_deployment_reads_back_as_it_was_written(tenant: str, environment: str, name: str) -> None:
    assert str(DeploymentKey.parse(f"{tenant}/{environment}/{name}")) == f"{tenant}/{environment}/{name}"


@given(st.text() | st.from_regex(r"[a-z@/.]*@[0-9]*"), st.sampled_from([DatasetRef, ModelRef, DeploymentKey]))
def test_any_other_text_is_invalid_input_and_nothing_else(text: str, noun: Any) -> None:
    try:
        parsed = noun.parse(text)
    except InvalidInput:
        return
    assert noun.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "churn",
        "churn@",
        "churn@0",
        "churn@-1",
        "churn@1.0",
        "churn@1@2",
        "@1",
        "churn@\u0661",
        "churn@2147483648",
        "churn@" + "9" * 5000,
    ],
)
def test_a_version_is_a_whole_number_from_one_on(text: str) -> None:
    with pytest.raises(InvalidInput):
        ModelRef.parse(text)


@pytest.mark.parametrize(
    "text", ["", "..", "a..b", ".a", "a.", "a/b", "a@b", "a:b", "a b", "a\n", "\u00e9t\u00e9", "a" * 129, "stats"]
)
def test_a_name_is_never_a_path_or_another_names_separator(text: str) -> None:
    with pytest.raises(InvalidInput):
        name_of("model", text)


def test_versions_of_one_name_sort_by_number() -> None:
    assert sorted([ModelRef("churn", 10), ModelRef("churn", 9), ModelRef("a", 11)])[1:] == [
        ModelRef("churn", 9),
        ModelRef("churn", 10),
    ]


def test_a_close_name_is_offered_and_a_far_one_is_not() -> None:
    assert near("chrun", ["churn", "loans"]) == ["churn"]
    assert near("weather", ["churn", "loans"]) == []
