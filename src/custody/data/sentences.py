"""The card in plain sentences, for a person who reads contracts and not code."""

from collections.abc import Mapping, Sequence

from custody.core.digest import Json
from custody.data.card import ANY, Card
from custody.data.retention import UNLIMITED, in_words

_BASES = {
    "consent": "Every row needs the consent of the person it is about; rows without it are left out when a model is trained.",
    "contract": "It is held to perform a contract.",
    "legal_obligation": "A law obliges to hold it.",
    "vital_interests": "It is held to protect somebody's life.",
    "public_task": "It is held for a public task; rows of people who objected are left out.",
    "legitimate_interests": "It is held for a legitimate interest; rows of people who objected are left out.",
    "public_data": "It was public.",
    "unknown": "Nobody can name the legal basis.",
}
_MEASURED = {
    *("removed", "generalised", "suppressed", "quasi_identifiers", "k", "measured_k", "l", "measured_l"),
    *("pseudonym_key", "policy", "pattern_pack", "reviewer", "report"),
}
_ENDS = {"delete": "deleted", "anonymise": "anonymised", "archive": "archived", "review": "reviewed"}
_USES = {"train_ai_system": "training AI systems", "unknown": "nobody knows what"}
_METHODS = {
    "survey": "People were asked.",
    "sensor": "Devices measured it.",
    "transaction": "It arose from doing business.",
    "scrape": "It was collected from pages or services of others.",
    "purchase": "It was bought.",
    "synthetic": "It was made up by a program.",
    "human_label": "People read the cases and wrote the labels.",
    "administrative_record": "It is a record of an administration.",
    "live_traffic": "It holds what a deployed model was asked, and what turned out to be true.",
    "clean_room": "It is the output of a clean room.",
}


def sentences(card: Card, groups: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
    """Return headings with their sentences, in the order in which a reviewer asks; groups: columns that the dataset names."""
    return [
        ("What is it?", [_full(card.title), _full(card.description)]),
        ("May it be used to train a model?", [f"No: {'; '.join(card.blocks)}." if card.blocks else "Yes.", *_gate(card, groups)]),
        ("Who answers for it?", _who(card)),
        ("Where does it come from, and how was it collected?", _origin(card)),
        ("Whom is it about?", _people(card)),
        ("On what ground, and what for?", _ground(card)),
        ("What limits its use?", _limits(card)),
        ("How long may it be kept?", _keep(card)),
        ("How was it treated for bias?", _bias(card, groups)),
        ("What can it not show?", [_full(card.limitations), *([_full(card.known_gaps)] if card.known_gaps else [])]),
    ]


def _full(text: str) -> str:
    """End a text as a sentence."""
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def _unsaid(value: object, what: str, sentence: str) -> str:
    return sentence if value else f"Nothing is said about {what}."


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else "".join(items)


def _gate(card: Card, groups: Sequence[str]) -> list[str]:
    blocks = card.promotion_blocks(groups)
    return [f"A model that learned from it does not pass its gate: {'; '.join(blocks)}."] if blocks else []


def _who(card: Card) -> list[str]:
    keeper = card.custodian or card.owner
    same = "who also keeps it" if keeper == card.owner else f"and {keeper} keeps it"
    return [f"{card.owner} owns it, {same}.", _unsaid(card.contact, "whom to ask", f"Questions go to {card.contact}.")]


def _origin(card: Card) -> list[str]:
    made = [
        f"It comes from {_listed(card.sources)}.",
        _METHODS.get(card.collection_method, _full(card.collection_method)),
        _unsaid(card.collection_detail, "how exactly", _full(card.collection_detail)),
        f"It covers the time {card.collection_period} and the places {_listed(card.geography)}.",
    ]
    made += [f"Missing values: {_full(card.missing_values)}"] if card.missing_values else []
    made += [f"They were filled in: {_full(card.imputation)}"] if card.imputation else []
    made += [f"It replaces {card.supersedes}."] if card.supersedes else []
    return made


def _people(card: Card) -> list[str]:
    if not card.subjects:
        return ["It is about no people."]
    made = [f"It is about {_listed(card.subjects)}."]
    if card.subject_keys:
        made.append(f"The column {_listed([repr(key) for key in card.subject_keys])} names the person of a row.")
    if card.categories:
        made.append(
            "It holds " + _listed(sorted({f"{key} (column {column!r})" for column, key in card.categories.items()})) + "."
        )
    made += _identities(card.deidentification)
    made += [f"Differential privacy: {_pairs(card.dp)}."] if card.dp else []
    return made


def _identities(told: Mapping[str, Json]) -> list[str]:
    """Say what was done to identities, and what a scan measured of it."""
    if not told:
        return ["Nothing is said about the removal of identities, so every row counts as personal data."]
    rest = {name: value for name, value in told.items() if "measured_k" not in told or name not in _MEASURED}
    made = [f"How identities were removed, as its owner says: {_pairs(rest)}."] if rest else []
    if "measured_k" in told:
        made += _measured(told)
    return [*made, "What is left still counts as personal data."]


def _measured(told: Mapping[str, Json]) -> list[str]:
    """Say what the newest scan measured."""
    made = [f"What custody found and removed: {told.get('removed')}."]
    made += [f"Made coarser: {told['generalised']}."] if told.get("generalised") else []
    made += [f"Left out, since too few were alike: {told['suppressed']}."] if told.get("suppressed") else []
    if told.get("quasi_identifiers"):
        wanted = f"; at least {told['k']} were promised" if "k" in told else ""
        made.append(f"Anybody described by {told['quasi_identifiers']} is one of at least {told['measured_k']} alike{wanted}.")
    else:
        made.append(
            "Nobody declared which columns tell people apart together, so how well a person hides among others is not known."
        )
    if "measured_l" in told:
        wanted = f"; at least {told['l']} were promised" if "l" in told else ""
        made.append(f"Rows that look alike still hold at least this many different answers: {told['measured_l']}{wanted}.")
    if "pseudonym_key" in told:
        made.append(
            f"Where names stood, there are keyed tokens of key {told['pseudonym_key']}: whoever holds it can find the person."
        )
    seen = "nobody has signed the review" if told.get("reviewer") == "nobody" else f"{told.get('reviewer')} reviewed it"
    made.append(
        f"It was scanned under the policy {told.get('policy')}, with pattern pack {told.get('pattern_pack')}; {seen}. "
        f"The signed report is {str(told.get('report'))[:12]}."
    )
    return made


def _pairs(values: Mapping[str, Json]) -> str:
    return _listed([f"{name.replace('_', ' ')} {value}" for name, value in values.items()])


def _ground(card: Card) -> list[str]:
    made = [_BASES.get(card.legal_basis, _full(card.legal_basis))]
    if card.consent:
        made.append(f"The consent: {_pairs(card.consent)}.")
    made += (
        [f"It holds special categories; the condition that allows this is {card.special_condition}."]
        if card.special_condition
        else []
    )
    purposes = [f"{_USES[key]} ({key})" if key in _USES else key for key in card.purposes]
    return [*made, f"It may be used for {_listed(purposes)}, and for narrower uses of these kinds; for nothing else."]


def _limits(card: Card) -> list[str]:
    made = [
        f"The licence is {_full(card.license)}",
        _unsaid(card.classification, "how confidential it is", f"It is {card.classification}."),
        _place("stored", card.storage, card.storage_denied),
        _place("processed", card.processing, card.processing_denied),
    ]
    rights = [one for one in card.proprietary if one != "none"]
    made.append(
        _unsaid(
            card.proprietary,
            "rights of others",
            f"It is under {_listed(rights)}." if rights else "No rights of others are known.",
        )
    )
    return made + [_full(f"Restriction: {one}") for one in card.restrictions]


def _place(verb: str, allowed: Sequence[str], denied: Sequence[str]) -> str:
    if not allowed and not denied:
        return f"Nothing is said about where it may be {verb}."
    where = "anywhere" if ANY in allowed or not allowed else f"in {_listed(allowed)} only"
    return f"It may be {verb} {where}{f', never in {_listed(denied)}' if denied else ''}."


def _keep(card: Card) -> list[str]:
    if not card.retention:
        return ["Nothing is said about how long it may be kept."]
    if card.retention == UNLIMITED:
        return ["It may be kept without an end."]
    return [f"It may be kept {in_words(card.retention)}; then it is {_ENDS.get(card.retention_action, card.retention_action)}."]


def _bias(card: Card, groups: Sequence[str]) -> list[str]:
    made = [_full(card.bias_treatment)]
    made += [f"Models that learn from it are measured for each group of {_listed(groups)}."] if groups else []
    made += [f"Group: {_pairs(one)}." for one in card.bias_groups]
    made += [f"Measured: {_pairs(one)}." for one in card.bias_metrics]
    made += [f"Treatment: {_pairs(one)}." for one in card.bias_mitigation]
    return made
