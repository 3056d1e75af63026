"""deepchecks: FeatureDrift, which samples 100,000 rows of each side."""

import pandas as pd
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import FeatureDrift
from measured import CATEGORIES, measure


def work(reference: str, current: str) -> str:
    sides = [Dataset(pd.read_parquet(path), cat_features=CATEGORIES) for path in (reference, current)]
    return f"{len(FeatureDrift().run(*sides).value)} columns"


measure(work)
