"""Sentence transformers in a folder: opened by name, pooled over real tokens only, refused when they are damaged."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.testing import assert_allclose
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from custody.adapters.frameworks.embedding import MODEL, TOKENIZER, Embeddings
from custody.core.errors import InvalidInput, NotFound

VECTORS = np.array([[9.0, 9.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose token vectors are looked up in a table: padding, unknown, good, bad."""
    (tmp_path / "tiny").mkdir()
    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, "good": 2, "bad": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.save(str(tmp_path / "tiny" / TOKENIZER))
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])],
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["n", "t", 2])],
        [numpy_helper.from_array(VECTORS, "table")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    (tmp_path / "tiny" / MODEL).write_bytes(made.SerializeToString())
    onnx.checker.check_model(made)
    return tmp_path


def test_a_text_is_the_mean_of_its_tokens_whatever_text_is_beside_it(folder: Path) -> None:
    embed = Embeddings(folder)("tiny")
    together = embed(["good bad bad", "good", "", "bad nonsense"])
    assert_allclose(together, np.array([[1 / 5**0.5, 2 / 5**0.5], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]), atol=1e-7)
    assert_allclose(embed(["good bad bad"]), together[:1], atol=1e-7)
    assert embed(["good"] * 70).shape == (70, 2)


def test_names_are_listed_and_unknown_ones_are_refused_with_the_nearest(folder: Path) -> None:
    found = Embeddings(folder)
    assert found.names() == ["hashed", "tiny"]
    assert found("hashed")(["one", "two"]).shape == (2, 512)
    with pytest.raises(NotFound, match="Did you mean 'tiny'"):
        found("tinny")
    assert Embeddings(folder / "nowhere").names() == ["hashed"]


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_damaged_file_is_named_with_what_to_do(folder: Path, name: str) -> None:
    (folder / "tiny" / name).write_bytes(b"not this")
    with pytest.raises(InvalidInput, match="cannot be opened"):
        Embeddings(folder)("tiny")
