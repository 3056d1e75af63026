"""Rows to benchmark drift on, made from a seed: python bench/drift_data.py PATH ROWS SEED SHIFT."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 1_000_000  # rows per row group, near what writers choose by themselves
LEVELS = (2, 8, 50, 500, 5_000)
SHIFTED = 3  # numeric columns that move by `shift` standard deviations


def table(rng: np.random.Generator, rows: int, shift: float) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for place in range(20):
        z = rng.normal(size=rows) + (shift if place < SHIFTED else 0)
        if place % 5 == 3:
            columns[f"x{place}"] = pa.array(np.exp(z))
        elif place % 5 == 4:
            columns[f"x{place}"] = pa.array(np.clip(np.round(41 + 13 * z), 18, 90))
        else:
            columns[f"x{place}"] = pa.array(100.0 * place + 10.0 ** (place % 4) * z)
    for place, levels in enumerate(LEVELS):
        chances = np.arange(1, levels + 1) ** -0.8
        codes = pa.array(rng.choice(levels, rows, p=chances / chances.sum()).astype(np.int32))
        columns[f"c{place}"] = pa.DictionaryArray.from_arrays(codes, [f"level {i}" for i in range(levels)]).cast(pa.string())
    return pa.table(columns)


def main() -> None:
    path, rows, seed, shift = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    rng, draft = np.random.default_rng(seed), path.with_suffix(".draft")
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(draft, table(rng, 1, 0).schema) as writer:
        for start in range(0, rows, GROUP):
            writer.write_table(table(rng, min(GROUP, rows - start), shift))
    draft.rename(path)


if __name__ == "__main__":
    main()
