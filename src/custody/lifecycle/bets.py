"""Bets on drawn labels: whether the metric fell below what was registered, asked after every label, right for ever."""

from dataclasses import dataclass

import msgspec
import numpy as np

from custody.core.digest import Digest, Json
from custody.core.evidence import Check, Estimate, Outcome
from custody.core.manifest import Target
from custody.deployment.revision import Revision
from custody.lifecycle.ask import PEOPLE, bet_of, labelled_draw, round_read
from custody.lifecycle.stores import Ports
from custody.monitoring.betting import Betting
from custody.monitoring.ports import Monitors
from custody.monitoring.sequence import Sequence, sequence_of


@dataclass(frozen=True, slots=True)
class BetEvidence:
    """What a bet rests on: the metric, its limit and alpha, each draw's frame and sample, its labels in the order drawn.

    labels: 1, 0, or None where none had come. log_e: the largest log e-value that they led to.
    """

    metric: str
    limit: float
    alpha: float
    draws: tuple[tuple[str, str], ...]
    labels: tuple[tuple[int | None, ...], ...]
    log_e: float
    version: int = 1


@dataclass(frozen=True, slots=True)
class Bet:
    """A bet as it stands, in words, and the confidence sequence of the metric over all draws of the version."""

    outcome: Outcome
    sentence: str
    sequence: Estimate | None


def judge_bet(ports: Ports, head: Revision, target: Target) -> tuple[Check, Bet] | None:
    """Replay the bet on every draw of a target with the labels that have come; None without a draw or a ratio to bet on."""
    shelf, bet = ports.stores.of(head.key.tenant), bet_of(ports, head, target)
    draws = [one for one in shelf.labels.draws(head.key) if (one.model, one.threshold) == (target.model, target.threshold)]
    if bet is None or not draws:
        return None
    labels, positive = shelf.labels.of(head.key, sources=PEOPLE), target.signature.classes[1]
    found = [labelled_draw(ports, one, labels, positive)[0].actual for one in draws]
    answers = tuple(tuple(None if np.isnan(x) else int(x) for x in np.asarray(each).tolist()) for each in found)
    places = tuple((str(one.frame), str(one.sample)) for one in draws)
    bet, sequence = _replayed(ports, bet, places, answers)
    proof = BetEvidence(bet.metric, bet.limit, bet.alpha, places, answers, bet.peak)
    check = _check(bet, answers, ports.stores.objects.of(head.key.tenant).put(msgspec.json.encode(proof)) if bet.alarm else "")
    return check, Bet(check.outcome, check.sentence, sequence.estimate)


def bet_again(ports: Ports, body: bytes) -> tuple[str, str]:
    """Return what a stored bet came to, and what it comes to now."""
    proof = msgspec.json.decode(body, type=BetEvidence)
    bet, _ = _replayed(ports, Betting(proof.metric, proof.limit, proof.alpha), proof.draws, proof.labels)
    return f"log e {proof.log_e:.6f} on {bet.labels} draws", f"log e {bet.peak:.6f} on {bet.labels} draws"


def _replayed(
    ports: Ports, bet: Betting, draws: tuple[tuple[str, str], ...], labels: tuple[tuple[int | None, ...], ...]
) -> tuple[Betting, Sequence]:
    sequence = sequence_of(bet.metric)
    for (frame, sample), answers in zip(draws, labels, strict=True):
        drawn = round_read(ports, Digest(frame), Digest(sample), bet.metric)
        actual = [np.nan if label is None else label for label in answers]
        bet, sequence = bet.update_drawn(drawn, actual), sequence.update(drawn, actual)
    return bet, sequence


def _check(bet: Betting, labels: tuple[tuple[int | None, ...], ...], evidence: str) -> Check:
    came, needed = sum(label is not None for each in labels for label in each), 1 / bet.alpha
    facts: dict[str, Json] = {"metric": bet.metric, "limit": bet.limit, "alpha": bet.alpha, "labels": came, "log_e": bet.peak}
    facts |= {"evidence": evidence} if evidence else {}
    on = f"on {came:,} labels drawn by chance"
    if bet.alarm:
        said = f"{bet.metric} {on} is surely below {bet.limit:.3f}, the registered value less its uncertainty and the tolerance"
        return Check(f"bet:{bet.metric}", Outcome.FAIL, f"{said}: evidence {np.exp(min(bet.peak, 50)):,.0f} to 1", facts)
    said = f"{bet.metric} {on} is not shown to be below {bet.limit:.3f}: evidence {bet.e:,.2g} to 1, an alarm takes {needed:,.0f}"
    return Check(f"bet:{bet.metric}", Outcome.PASS, said, facts)


def bet_state(target: Target) -> str:
    """Return the state that keeps a target's newest bet, for people to read."""
    return f"sequence:{target.model}@{target.threshold:g}"


def last_bet(monitors: Monitors, head: Revision) -> Bet | None:
    """Return the newest bet on the live version of a deployment."""
    text = monitors.state(head.key, bet_state(head.service.live))
    return msgspec.json.decode(text, type=Bet) if text else None
