"""Embeddings of texts by name: `hashed`, which is always there, or a sentence transformer in a folder of the project."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from custody.core.errors import InvalidInput, NotFound
from custody.core.refs import near
from custody.monitoring.hashed import hashed

HASHED = "hashed"
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
TOKENS, BATCH = 256, 32
Embed = Callable[[list[str]], Any]


class Embeddings:
    """Opens embeddings by name: a folder NAME holds `model.onnx` and `tokenizer.json`, as sentence transformers are published.

    The model runs on this machine, on the CPU; nothing is fetched. Each one is opened once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Embed] = {HASHED: hashed}

    def names(self) -> list[str]:
        """Return the names that can be opened."""
        return [HASHED, *sorted(path.parent.name for path in self._folder.glob(f"*/{MODEL}"))]

    def __call__(self, name: str) -> Embed:
        """Return a function of n texts that gives shape (n, d).

        Raises: NotFound for an unknown name; InvalidInput for files that are no such model, or without the extra.
        """
        if name not in self._open:
            if name not in self.names():
                raise self._unknown(name)
            self._open[name] = SentenceModel(self._folder / name)
        return self._open[name]

    def _unknown(self, name: str) -> NotFound:
        close = near(name, self.names())
        return NotFound(
            f"There is no embedding '{name}'.",
            why=f"Did you mean '{close[0]}'?" if close else f"The embeddings are: {', '.join(self.names())}.",
            fix=f"Put its {MODEL} and {TOKENIZER} into {self._folder / name}.",
            facts={"known": self.names()},
        )


class SentenceModel:
    """A sentence transformer as ONNX: the mean of its token vectors, of length 1; a text is cut after 256 tokens.

    Source: Reimers and Gurevych 2019, Sentence-BERT, section 3 (mean pooling).
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise InvalidInput(
                f"The embedding '{folder.name}' needs the package 'tokenizers'.",
                fix="pip install 'custody-ml[embeddings]'",
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            self._session = ort.InferenceSession((folder / MODEL).read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # both libraries raise bare Exception for files they cannot read
            raise InvalidInput(
                f"The embedding '{folder.name}' cannot be opened.",
                why=f"{type(error).__name__}: its {MODEL} or {TOKENIZER} is missing or damaged.",
                fix=f"Export it as ONNX with its tokenizer, and put both files into {folder}.",
            ) from error
        self._tokenizer.enable_truncation(TOKENS)
        self._tokenizer.enable_padding()
        self._inputs = {one.name for one in self._session.get_inputs()}

    def __call__(self, texts: list[str]) -> NDArray[np.float64]:
        """Embed n texts, shape (n, d)."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of like length share a batch: less padding
        found = [*self._batches([texts[i] for i in order])]
        joined = np.concatenate(found) if found else np.empty((0, 0))
        placed = np.empty_like(joined)
        placed[order] = joined
        return placed

    def _batches(self, texts: list[str]) -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(texts), BATCH):
            yield self._pooled(self._tokenizer.encode_batch(texts[start : start + BATCH]))

    def _pooled(self, encoded: Iterable[Any]) -> NDArray[np.float64]:
        rows = list(encoded)
        given = {
            "input_ids": np.array([row.ids for row in rows], dtype=np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], dtype=np.int64),
            "token_type_ids": np.array([row.type_ids for row in rows], dtype=np.int64),
        }
        tokens = self._session.run(None, {name: values for name, values in given.items() if name in self._inputs})[0]
        weights = given["attention_mask"][..., None].astype(np.float64)
        found: NDArray[np.float64] = (np.asarray(tokens, dtype=np.float64) * weights).sum(axis=1)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(lengths > 0, lengths, 1.0)
