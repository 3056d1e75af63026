"""frouros: Kolmogorov-Smirnov test of every number, chi-squared test of every category."""

import pandas as pd
from frouros.detectors.data_drift import ChiSquareTest, KSTest
from measured import CATEGORIES, NUMBERS, measure


def work(reference: str, current: str) -> str:
    first, second = pd.read_parquet(reference), pd.read_parquet(current)
    drifts = 0
    for name in [*NUMBERS, *CATEGORIES]:
        detector = KSTest() if name in NUMBERS else ChiSquareTest()
        detector.fit(X=first[name].to_numpy())
        drifts += detector.compare(X=second[name].to_numpy())[0].p_value < 0.05
    return f"{drifts} columns drift"


measure(work)
