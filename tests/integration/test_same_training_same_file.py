"""The same training gives the same file, in any process: a model's digest names what was learned, not when it was converted."""

import os
import subprocess
import sys

SCRIPT = """
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from custody.adapters.frameworks.sklearn import export
from custody.core.digest import digest_of

texts = [f"comment {i} on song {i % 3}" for i in range(30)]
model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [i % 2 for i in range(30)])
print(digest_of(export(model, texts).onnx))
"""


def converted(hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


def test_the_same_training_gives_the_same_file_in_every_process() -> None:
    digests = {converted(seed) for seed in ("0", "1", "2", "3")}
    assert len(digests) == 1
