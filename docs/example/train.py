"""Train a logistic regression on support tickets."""

from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import custody.sdk as custody

WORDS, NUMBERS = ["channel", "customer"], ["words", "earlier"]

with custody.run("escalation", purpose="train_ai_system") as run:
    rows = run.dataset("tickets@1").to_pandas()  # the training part; the holdout stays with custody
    columns = make_column_transformer((OneHotEncoder(), WORDS), (StandardScaler(), NUMBERS))
    model = make_pipeline(columns, LogisticRegression())
    model.fit(rows[WORDS + NUMBERS], rows["escalated"])
    run.param(model="logistic regression", rows=len(rows))
    run.log_model("escalation", model, sample=rows[WORDS + NUMBERS])
