"""Which models hold training rows in themselves: read off files that the exporter really writes."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from custody.adapters.frameworks.sklearn import export
from custody.privacy.erasure.stored import stores_rows

RNG = np.random.default_rng(1)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = (X[:, 0] + RNG.normal(size=80) > 0).astype(int)
TEXTS = ["a good day", "what a bad word"] * 20


@pytest.mark.filterwarnings("ignore:Attribute `prob:FutureWarning")  # skl2onnx asks for what scikit-learn will remove
@pytest.mark.parametrize(
    ("model", "what"),
    [
        (CalibratedClassifierCV(SVC(), ensemble=False), "support vectors"),
        (KNeighborsClassifier(), "rows that it measures distances to"),
    ],
)
def test_a_model_that_keeps_rows_is_told_also_within_a_pipeline(model: Any, what: str) -> None:
    for fitted in (model, make_pipeline(StandardScaler(), model)):
        assert stores_rows(export(fitted.fit(X, Y), X).onnx) == f"it stores {what}"


def test_a_vocabulary_is_words_of_the_rows() -> None:
    fitted = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [0, 1] * 20)
    assert stores_rows(export(fitted, TEXTS).onnx) == "it stores the words of its training texts"


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        RandomForestClassifier(5),
        GaussianNB(),
        MLPClassifier((4,), solver="lbfgs", max_iter=2000, random_state=0),
    ],
)
def test_a_model_of_numbers_learned_from_rows_stores_none(model: Any) -> None:
    assert stores_rows(export(model.fit(X, Y), X).onnx) == ""
