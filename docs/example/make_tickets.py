"""Write tickets.csv to train on and live.csv to replay: support tickets, and whether each was escalated in the end."""

import csv
from pathlib import Path

import numpy as np

COLUMNS = ["channel", "customer", "words", "earlier", "escalated"]


def write(name: str, rows: int, seed: int) -> None:
    """Write a file of made-up tickets; long texts and many earlier tickets make an escalation likelier."""
    rng = np.random.default_rng(seed)
    words, earlier = rng.integers(5, 400, rows), rng.poisson(2, rows)
    channel = rng.choice(["mail", "chat", "phone"], rows)
    customer = rng.choice(["new", "old"], rows)
    logit = (words - 200) / 50 + (earlier - 2) + (channel == "phone")
    escalated = np.where(rng.random(rows) < 1 / (1 + np.exp(-logit)), "Yes", "No")
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(zip(channel, customer, words.tolist(), earlier.tolist(), escalated, strict=True))


write("tickets.csv", 1000, 1)
write("live.csv", 200, 2)
