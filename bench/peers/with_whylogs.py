"""whylogs: a profile of each side, and its drift scores with thresholds."""

import pandas as pd
import whylogs as why
from measured import measure
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores


def work(reference: str, current: str) -> str:
    views = [why.log(pandas=pd.read_parquet(path)).view() for path in (reference, current)]
    scores = calculate_drift_scores(target_view=views[1], reference_view=views[0], with_thresholds=True)
    return f"{len(scores)} scores"


measure(work)
