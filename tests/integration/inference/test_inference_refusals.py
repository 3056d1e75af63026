"""Rows that a model refuses: the caller learns which row and which input, and nobody's values are repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_world import CHURN, World, body, tabular

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.digest import digest_of
from custody.core.errors import InvalidInput
from custody.core.manifest import Target
from custody.core.refs import ModelRef
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded, Slot
from custody.inference.models.scoring import score
from custody.serving import Arrays, CaptureMode, fixture_arrays

STRICT = tabular(1, "error")
TARGET = Target(ModelRef("churn", 1), digest_of(STRICT.onnx), STRICT.signature, 0.5, None)
ARM = Arm(CHURN, 1, CaptureMode.LIVE, TARGET, Slot(TARGET), str(CHURN), {}, b"")
MODEL = OnnxModel(STRICT.onnx, STRICT.signature)
KNOWN = {name: array[:1] for name, array in fixture_arrays(STRICT.fixture, STRICT.signature).items()}
SAID = "it cannot take the value of 'plan'"


def rows(plans: list[str]) -> Arrays:
    numbers = np.zeros((len(plans), 1), np.float32)
    return {"age": numbers, "spend": numbers, "plan": np.array(plans, object).reshape(-1, 1)}


@given(st.lists(st.sampled_from(["basic", "premium", "secret"]), min_size=1, max_size=40).filter(lambda plans: "secret" in plans))
def test_the_first_row_that_a_model_refuses_is_named_with_its_input(plans: list[str]) -> None:
    with pytest.raises(InvalidInput, match=f"refused row {plans.index('secret')}: {SAID}") as caught:
        score(ARM, Loaded(MODEL, 0.0, KNOWN), rows(plans))
    assert caught.value.facts == {"row": plans.index("secret"), "inputs": ["plan"]}
    assert "secret" not in str(caught.value)


def test_without_a_row_that_is_known_to_pass_the_row_alone_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"refused row 2\.$") as caught:
        score(ARM, Loaded(MODEL, 0.0), rows(["basic", "premium", "secret"]))
    assert "inputs" not in caught.value.facts


def test_what_no_row_alone_explains_is_refused_as_the_model_says_it() -> None:
    class Whole:
        """Takes one row at a time."""

        def run(self, inputs: Arrays, _: object = None) -> Arrays:
            if len(inputs["age"]) > 1:
                raise InvalidInput("One row at a time.")
            return {TARGET.signature.score: np.zeros((1, 2), np.float32)}

    with pytest.raises(InvalidInput, match="One row at a time"):
        score(ARM, Loaded(Whole(), 0.0, KNOWN), rows(["basic"] * 5))  # type: ignore[arg-type]  # of a model, all that is used


def test_callers_of_both_protocols_learn_what_to_mend(world: World) -> None:
    world.publish([world.service(world.target(STRICT))])
    wrong = body(3)
    wrong["inputs"][2]["data"][1] = "secret"
    with world.server() as server, server.client() as client:
        answers = [
            client.post("/v2/models/churn/infer", json=wrong),
            client.post("/deployments/churn/invocations", json={"inputs": {one["name"]: one["data"] for one in wrong["inputs"]}}),
        ]
        for answer in answers:
            assert answer.status_code == 400
            assert f"refused row 1: {SAID}" in answer.text
            assert "secret" not in answer.text
        assert client.post("/v2/models/churn/infer", json=body(3)).status_code == 200
