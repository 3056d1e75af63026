"""Train a filter of comment spam: words weighed by how rare they are, and a logistic regression. Defaults, nothing tuned."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import custody.sdk as custody

with custody.run("spam") as run:
    rows = run.dataset("comments@2").to_pandas()
    texts, labels = rows["text"].tolist(), rows["label"].to_numpy()
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts, labels)
    run.param(model="TF-IDF and logistic regression", rows=len(texts), words=len(model[0].vocabulary_))
    run.metric(training_accuracy=model.score(texts, labels), spam_share=labels.mean())
    run.log_model("spam", model, sample=texts)
