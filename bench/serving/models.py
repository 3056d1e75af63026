"""The models that every server serves, made from seeds and exported by the project's own exporter; kept in a folder."""

import hashlib
import importlib.metadata
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from custody.core.manifest import ParityFixture
from custody.core.schema import Signature

ROWS = 64 * 64  # rows that requests are made of: 64 requests of up to 64 rows
FEATURES, TERMS = 30, 20_000
_TRAINING = 5_000
_SYLLABLES = [consonant + vowel for consonant in "bdfghklmnprstvwz" for vowel in "aéio"]
_MADE_BY = ("scikit-learn", "skl2onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Model:
    """An exported model with rows that it never saw, and the original's score of each.

    rows: FP32 rows as lists of numbers with six decimals, or texts. scores: of the positive class.
    """

    name: str
    path: Path
    signature: Signature
    fixture: ParityFixture
    rows: list[Any]
    scores: list[float]

    @property
    def is_text(self) -> bool:
        return self.signature.inputs[0].datatype == "BYTES"


@dataclass(frozen=True, slots=True)
class _Saved:
    signature: Signature
    fixture: ParityFixture
    rows: list[Any]
    scores: list[float]


def load(name: str, folder: Path) -> Model:
    """Return a model by name, made now if this file or a library that makes it changed."""
    versions = " ".join(importlib.metadata.version(library) for library in _MADE_BY)
    digest = hashlib.sha256(Path(__file__).read_bytes() + versions.encode()).hexdigest()[:12]
    onnx, saved = folder / f"{name}-{digest}.onnx", folder / f"{name}-{digest}.json"
    if not saved.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(name, onnx, saved)
    found = msgspec.json.decode(saved.read_bytes(), type=_Saved)
    return Model(name, onnx, found.signature, found.fixture, found.rows, found.scores)


def _make(name: str, onnx: Path, saved: Path) -> None:
    from custody.adapters.frameworks.sklearn import export

    estimator, sample, rows = _RECIPES[name]()
    exported = export(estimator, sample)
    scores = estimator.predict_proba(_as_sample(rows, sample))[:, 1]
    onnx.write_bytes(exported.onnx)
    plain = _Saved(exported.signature, exported.fixture, rows, [float(score) for score in scores])
    saved.write_bytes(msgspec.json.encode(plain))


def _as_sample(rows: list[Any], sample: Any) -> Any:
    if isinstance(rows[0], str):
        return rows
    array = np.array(rows, np.float32)
    return type(sample)(array, columns=sample.columns) if hasattr(sample, "columns") else array


def _table(seed: int, n: int, features: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.round(np.random.default_rng(seed).normal(0, 10, (n, features)), 6)


def _trees() -> tuple[Any, Any, list[Any]]:
    """Return 100 boosted trees whose rows are one tensor."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = _table(1, _TRAINING, FEATURES).astype(np.float32)
    noise = np.random.default_rng(2).normal(0, 10, _TRAINING)
    labels = rows[:, 0] + rows[:, 1] * rows[:, 2] / 10 + np.abs(rows[:, 3]) + noise > 8
    trees = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0).fit(rows, labels)
    return trees, rows, _table(3, ROWS, FEATURES).tolist()


def _columns() -> tuple[Any, Any, list[Any]]:
    """Return the same trees, trained on a table: each column is a tensor of its own."""
    import pandas as pd
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline

    trees, sample, rows = _trees()
    table = pd.DataFrame(sample, columns=[f"column_{number}" for number in range(FEATURES)])
    columns = ColumnTransformer([("all", "passthrough", list(table))])
    return make_pipeline(columns, clone(trees)).fit(table, trees.predict(sample)), table, rows


def _small() -> tuple[Any, Any, list[Any]]:
    from sklearn.linear_model import LogisticRegression

    rows = _table(4, 500, 4).astype(np.float32)
    return LogisticRegression().fit(rows, rows[:, 0] + rows[:, 1] > 0), rows, _table(5, ROWS, 4).tolist()


def _text() -> tuple[Any, Any, list[Any]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = _texts(6, _TRAINING)
    labels = [text.count("ba") + text.count("fé") > text.count("ti") + text.count("so") for text in texts]
    model = make_pipeline(TfidfVectorizer(max_features=TERMS), LogisticRegression()).fit(texts, labels)
    if (found := len(model[0].vocabulary_)) != TERMS:
        raise ValueError(f"the text model has {found} terms, not {TERMS}")
    return model, texts, _texts(7, ROWS)


def _texts(seed: int, n: int) -> list[str]:
    """Return texts of 20 to 60 made-up words whose frequencies follow Zipf's law."""
    maker = random.Random(8)
    words = sorted({"".join(maker.choices(_SYLLABLES, k=maker.randint(2, 4))) for _ in range(40_000)})
    maker.shuffle(words)
    weights = [1 / (rank + 10) for rank in range(len(words))]
    drawer = random.Random(seed)
    return [" ".join(drawer.choices(words, weights, k=drawer.randint(20, 60))).capitalize() + "." for _ in range(n)]


_RECIPES: dict[str, Callable[[], tuple[Any, Any, list[Any]]]] = {
    "trees": _trees,
    "columns": _columns,
    "small": _small,
    "text": _text,
}
