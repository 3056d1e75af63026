"""Send live.csv to a deployment, one request a ticket, and write what turned out to be true to labels.csv.

python traffic.py URL KEY      URL: http://127.0.0.1:8090/tenants/acme/v2/models/escalation
"""

import csv
import sys
from pathlib import Path

import httpx

url, key = sys.argv[1:]
with Path("live.csv").open(encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
labels = []
with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as client:
    for number, row in enumerate(rows):
        inputs = [
            {"name": name, "datatype": kind, "shape": [1, 1], "data": [int(row[name]) if kind == "INT64" else row[name]]}
            for name, kind in {"channel": "BYTES", "customer": "BYTES", "words": "INT64", "earlier": "INT64"}.items()
        ]
        answer = client.post(f"{url}/infer", json={"id": f"ticket-{number}", "inputs": inputs}).raise_for_status().json()
        prediction = answer["parameters"]["prediction_id"]
        labels.append((prediction, row["escalated"]))
with Path("labels.csv").open("w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([("prediction", "label"), *labels])
print(f"{len(labels)} tickets answered; the last is {prediction}")
