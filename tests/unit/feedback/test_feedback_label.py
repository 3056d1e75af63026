"""Labels: only the model's own classes are truth; what is refused is named by line, never by value."""

from datetime import UTC, datetime

import pytest

from custody.core.errors import InvalidInput
from custody.core.refs import DeploymentKey
from custody.core.tenancy import TenantId
from custody.feedback.label import SOURCES, Label, check_values

KEY = DeploymentKey(TenantId("acme"), "prod", "churn")


def labels(*values: str) -> list[Label]:
    return [Label(KEY, f"p-{i}", value, SOURCES[0], datetime(2026, 3, 1, tzinfo=UTC)) for i, value in enumerate(values)]


def test_the_models_classes_are_accepted() -> None:
    check_values(labels("Yes", "No", "No"), ("No", "Yes"))
    check_values([], ("No", "Yes"))


def test_other_values_are_refused_by_line() -> None:
    with pytest.raises(InvalidInput) as error:
        check_values(labels("Yes", "yes", "No", "Anna Smith"), ("No", "Yes"))
    assert error.value.facts == {"lines": ["2", "4"]}
    assert "2 labels" in error.value.what
    assert "Anna" not in str(error.value)


def test_of_many_wrong_lines_the_first_twenty_are_named() -> None:
    with pytest.raises(InvalidInput, match="100 labels") as error:
        check_values(labels(*["maybe"] * 100), ("No", "Yes"))
    assert error.value.facts["lines"] == [str(line) for line in range(1, 21)]


def test_a_users_complaint_is_a_source_but_no_truth() -> None:
    assert SOURCES == ("outcome", "annotator", "report")
