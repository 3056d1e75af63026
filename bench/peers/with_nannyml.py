"""NannyML: univariate drift of every column."""

import nannyml as nml
import pandas as pd
from measured import CATEGORIES, NUMBERS, measure


def work(reference: str, current: str) -> str:
    calculator = nml.UnivariateDriftCalculator(column_names=[*NUMBERS, *CATEGORIES])
    calculator.fit(pd.read_parquet(reference))
    return f"{calculator.calculate(pd.read_parquet(current)).to_df().shape} results"


measure(work)
