"""A spaCy model cut down to its entity recognizer, whose sums NumPy does: the same entities, several times as fast.

spaCy multiplies with blis, one small call at a time; NumPy's library multiplies the same matrices about three times as fast, and a step
of all texts of a batch at once costs one call. Weights and steps are the model's own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

UNUSED = ["tagger", "parser", "lemmatizer", "attribute_ruler", "senter", "morphologizer"]


class Recognizer:
    """The part of a loaded spaCy pipeline that finds entities.

    nlp: loaded without UNUSED. A pipeline of another make than one greedy recognizer runs as spaCy runs it.
    """

    def __init__(self, nlp: Any) -> None:
        self._nlp = nlp
        if "tok2vec" in nlp.pipe_names and not set(nlp.get_pipe("tok2vec").listening_components) & set(nlp.pipe_names):
            nlp.remove_pipe("tok2vec")  # it serves only components that were left out
        self._ner = nlp.get_pipe("ner") if nlp.pipe_names[-1:] == ["ner"] and set(nlp.pipe_names) <= {"tok2vec", "ner"} else None
        if self._ner is not None and self._ner.cfg.get("beam_width", 1) != 1:
            self._ner = None
        if self._ner is not None:
            multiply_by_numpy(nlp)

    def documents(self, texts: Sequence[str]) -> Sequence[Any]:
        """Return spaCy's documents of a batch of texts, with entities."""
        if self._ner is None:
            return list(self._nlp.pipe(texts, batch_size=len(texts) or 1))
        documents = [self._nlp.make_doc(text) for text in texts]
        for name, component in self._nlp.pipeline[:-1]:
            if name == "tok2vec":
                component.set_annotations(documents, component.predict(documents))
        states = self._ner.moves.init_batch(documents)
        step, open_states = self._ner.model.predict(documents), [state for state in states if not state.is_final()]
        while open_states:
            scores = np.ascontiguousarray(step.predict(open_states), dtype=np.float32)
            open_states = self._ner.transition_states(open_states, scores)
        self._ner.set_annotations(documents, states)
        return documents


def multiply_by_numpy(nlp: Any) -> None:
    """Let the layers of a pipeline multiply with NumPy."""
    from thinc.api import NumpyOps

    class Multiplied(NumpyOps):  # type: ignore[misc]  # it has no types
        """thinc's operations with NumPy's product of matrices."""

        def gemm(self, x: Any, y: Any, out: Any = None, trans1: bool = False, trans2: bool = False) -> Any:
            return np.matmul(x.T if trans1 else x, y.T if trans2 else y, out=out)

    ops = Multiplied()
    for _, component in nlp.pipeline:
        for node in component.model.walk():
            node.ops = ops
