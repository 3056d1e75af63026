"""Train a model that proposes whether an arrested person is released with a summons.

python train.py              a logistic regression on all columns
python train.py --mitigate   the same, with rows reweighed so that colour and release are independent in the training data
                             (Kamiran and Calders 2012, Data preprocessing techniques for classification without discrimination)
"""

import argparse

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import custody.sdk as custody

WORDS, NUMBERS = ["colour", "sex", "employed", "citizen"], ["age", "checks"]
FEATURES = WORDS + NUMBERS


def weights(colour: np.ndarray, released: np.ndarray, mitigate: bool) -> np.ndarray:
    """Weigh both outcomes alike, and with `mitigate` both outcomes alike within each colour."""
    made = np.zeros(len(released))
    groups = [colour == value for value in np.unique(colour)] if mitigate else [np.ones(len(released), dtype=bool)]
    for group in groups:
        for outcome in np.unique(released):
            rows = group & (released == outcome)
            made[rows] = 0.5 * group.sum() / rows.sum()
    return made


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--mitigate", action="store_true")
options = parser.parse_args()

with custody.run("release", purpose="train_ai_system") as run:
    rows = run.dataset("arrests@1").to_pandas()
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(drop="if_binary"), WORDS), (StandardScaler(), NUMBERS)),
        LogisticRegression(max_iter=1000),
    )
    weight = weights(rows["colour"].to_numpy(), rows["released"].to_numpy(), options.mitigate)
    model.fit(rows[FEATURES], rows["released"], logisticregression__sample_weight=weight)
    run.param(model="logistic regression", mitigation="reweighing by colour" if options.mitigate else "none", rows=len(rows))
    run.metric(training_accuracy=model.score(rows[FEATURES], rows["released"]))
    run.log_model("release", model, sample=rows[FEATURES])
