"""alibi-detect: TabularDrift; its categories must be numbers, so they are coded first."""

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift
from measured import CATEGORIES, NUMBERS, measure


def work(reference: str, current: str) -> str:
    sides = [pd.read_parquet(path, columns=[*NUMBERS, *CATEGORIES]) for path in (reference, current)]
    for name in CATEGORIES:
        levels = pd.concat([side[name] for side in sides]).astype("category").cat.categories
        for side in sides:
            side[name] = pd.Categorical(side[name], categories=levels).codes
    rows = [side.to_numpy(dtype=np.float64) for side in sides]
    categories = {len(NUMBERS) + place: None for place in range(len(CATEGORIES))}
    found = TabularDrift(rows[0], p_val=0.05, categories_per_feature=categories).predict(rows[1], drift_type="feature")
    return f"{int(found['data']['is_drift'].sum())} columns drift"


measure(work)
