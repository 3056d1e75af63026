"""The story of a model's life, one small function per step; the only place where chapters meet, and never a rule of theirs.

| the model's life | function | chapters joined | ledger entry |
|---|---|---|---|
| data arrives | `ingest` | data | `dataset.ingested` |
| look for personal data | `scan` | data | `dataset.scanned` |
| remove it | `scrub_version` | data | `dataset.scrubbed` |
| decide what is doubtful | `answer` | data | `review.answered` |
| consent arrives | `consent` | data | `consent.recorded` |
| train | `train` | data, registry | `run.finished` |
| convert | `convert` | data, registry, gates | `model.converted` |
| gate | `promote` | data, registry, gates | `gate.passed` / `gate.refused` |
| deploy | `release` | registry, gates, deployment | `rollout.step` |
| serve, capture | `seal` | registry, deployment, serving | `captures.sealed`, one for each round, not for each call |
| ask for labels | `ask` | deployment, feedback, monitoring | `labels.asked` |
| label | `record` | deployment, feedback | `labels.received` |
| evaluate, alert | `watch` | deployment, serving, feedback, monitoring | `evaluation.done`, `evaluation.revised`, `alert.raised`, `alert.resolved`, `retrain.decided` |
| explain a loss | `explain` | data, registry, deployment, monitoring | `relevance.measured` |
| retrain | `retrain` | data, registry, deployment, feedback, monitoring | `retrain.decided`, `retrain.step` |
| forget a person | `forget` | data, registry, serving, feedback | `subject.erased`, one `obligation.opened` for each model reached, `erasure.done` |
| ask why | `trace` | data, registry, gates, deployment, feedback | none: it reads |
| verify | `verify_all` | data, registry, deployment, serving | none: it reads |

House-keeping entries: `privacy.set`, `dataset.left`, `dataset.rewritten`, `card.waived`, `obligation.met`, `subject.exported`, `encryption.rotated`, `encryption.rewrapped`, `encryption.resealing`, `encryption.resealed`, `encryption.destroyed`,
`alert.acknowledged`, `tenant.added`, `key.added`, `key.revoked`, `run.started`, `dataset.read`, `rows.read`, `export.made`, `gate.set`, `mitigation.measured`, `golden.set`, `alert.changed`, `erasure.replayed`,
`alias.set`, `captures.quarantined`, `monitor.set`, `value.set`, `session.opened`, `session.ended`.
"""
