"""The tree of failures: each says what, why and how to mend it, as text and as values."""

import pytest

from custody.core.errors import Conflict, CustodyError, Denied, IntegrityBroken, InvalidInput, NotFound, Unavailable

KINDS = [InvalidInput, NotFound, Conflict, Denied, Unavailable, IntegrityBroken]


@pytest.mark.parametrize("kind", KINDS)
def test_every_failure_says_what_why_and_how_to_mend_it(kind: type[CustodyError]) -> None:
    error = kind("It broke.", why="It was old.", fix="Buy another.", facts={"age": 7})
    assert isinstance(error, CustodyError)
    assert str(error) == "It broke. It was old. Buy another."
    assert (error.what, error.why, error.fix, error.facts) == ("It broke.", "It was old.", "Buy another.", {"age": 7})


def test_what_is_not_said_leaves_no_gap() -> None:
    assert str(Conflict("It broke.", fix="Buy another.")) == "It broke. Buy another."


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    import custody.core.errors as module

    assert module.__doc__ is not None
    assert set(CustodyError.__subclasses__()) == set(KINDS)
    assert [kind for kind in KINDS if f"|- {kind.__name__} " not in module.__doc__] == [IntegrityBroken]
    assert "`- IntegrityBroken " in module.__doc__


def test_a_missing_thing_is_named_with_close_ones_and_the_command_that_lists_them() -> None:
    error = NotFound.of("model", "chrun@1", ls="custody model ls", near=["churn@1", "churn@2"])
    assert str(error) == "There is no model 'chrun@1'. Did you mean 'churn@1' or 'churn@2'? List them: custody model ls"
    assert error.facts == {"noun": "model", "name": "chrun@1", "near": ["churn@1", "churn@2"]}


def test_a_missing_thing_may_be_another_tenants_and_reads_the_same() -> None:
    assert str(NotFound.of("model", "x@1")) == "There is no model 'x@1'. It was never stored, or belongs to another tenant."
