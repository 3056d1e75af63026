"""What a card is asked: every field, what it may say, an example, and how a mapping becomes a card."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum, auto

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.refs import near
from custody.data.card import CLASSES, LEGAL_BASES, METHODS, MITIGATIONS, PROPRIETARY, UNKNOWN, VERSION, Card
from custody.data.retention import fault_of_retention
from custody.privacy.purposes import fault_of

SHORTEST = 2  # letters of a required text


class Form(Enum):
    """What shape a field's value has."""

    TEXT = auto()
    LIST = auto()
    TABLE = auto()
    ROWS = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """One field: its shape, an example as one would write it in YAML, the words it may say, and whether it must be there."""

    name: str
    example: str
    form: Form = Form.TEXT
    choices: tuple[str, ...] = ()
    needed: bool = False
    keys: tuple[str, ...] = ()


QUESTIONS = (
    Question("title", "Support tickets of one year", needed=True),
    Question("description", "One row per ticket; escalated says whether a second person took over", needed=True),
    Question("owner", "support team", needed=True),
    Question("contact", "data-office@example.org", needed=True),
    Question("custodian", "data office"),
    Question("sources", "[help desk export]", Form.LIST, needed=True),
    Question("transform", "{run: 01JD8..., code: 3f2a...}", Form.TABLE),
    Question("collection_method", "transaction", choices=METHODS, needed=True),
    Question("collection_detail", "Every ticket closed in the year, exported each night", needed=True),
    Question("collection_period", '"2025-01-01/2025-12-31"', needed=True),
    Question("missing_values", "Tickets sent by telephone have no words"),
    Question("imputation", "none"),
    Question("geography", "[CA]", Form.LIST, needed=True),
    Question("storage", "[CA]", Form.LIST, needed=True),
    Question("storage_denied", "[US]", Form.LIST),
    Question("processing", "[any]", Form.LIST, needed=True),
    Question("processing_denied", "[US]", Form.LIST),
    Question("subjects", "[customers]", Form.LIST, needed=True),
    Question("categories", "{email: user.contact.email}", Form.TABLE),
    Question("quasi_identifiers", "[age, postcode]", Form.LIST),
    Question("special_condition", "explicit_consent"),
    Question("subject_key", "customer_id"),
    Question("further_subject_keys", "[agent_id]", Form.LIST),
    Question("classification", "internal", choices=(*CLASSES, UNKNOWN), needed=True),
    Question("legal_basis", "contract", choices=LEGAL_BASES, needed=True),
    Question("consent", "{document: notice v3, max_age_days: 30}", Form.TABLE, keys=("document", "source", "max_age_days")),
    Question("purposes", "[train_ai_system]", Form.LIST, needed=True),
    Question("license", "internal", needed=True),
    Question("restrictions", "[no onward transfer]", Form.LIST),
    Question("proprietary", "[none]", Form.LIST, PROPRIETARY, needed=True),
    Question("retention", "P5Y", needed=True),
    Question("retention_action", "delete", choices=("delete", "anonymise", "archive", "review")),
    Question("deidentification", "{method: names replaced by an agency, k: 5, l: 2}", Form.TABLE),
    Question("dp", "{epsilon: 1.0, delta: 1e-6, unit: person}", Form.TABLE),
    Question("limitations", "Says nothing about tickets that were never written", needed=True),
    Question("known_gaps", "March is missing"),
    Question("bias_treatment", "None; groups escalate alike", needed=True),
    Question("bias_groups", "[{column: region, reference: north}]", Form.ROWS, keys=("column", "values", "n", "reference")),
    Question(
        "bias_metrics",
        "[{name: label_rate, group: north, value: 0.31, n: 900}]",
        Form.ROWS,
        keys=("name", "group", "value", "low", "high", "n", "threshold"),
    ),
    Question(
        "bias_mitigation",
        "[{method: reweigh, before: 0.12, after: 0.04, metric: recall gap, accuracy_cost: 0.01}]",
        Form.ROWS,
        keys=("method", "metric", "column", "before", "after", "n", "accuracy_cost", "why"),
    ),
    Question("labels", "{protocol: two agents, agreement: kappa 0.81}", Form.TABLE),
    Question("social_impact", "Decides who waits longer"),
    Question("supersedes", "tickets@1"),
)
NAMES = tuple(question.name for question in QUESTIONS)
_MAY_BE_EMPTY = {"subjects"}


def card_of(values: Mapping[str, Json]) -> Card:
    """Build a card from parsed YAML or JSON; all faults are reported at once, each missing field with an example."""
    known = [f.name for f in fields(Card)]
    faults = [
        f"unknown field '{key}'" + (f" (did you mean '{close[0]}'?)" if (close := near(key, known)) else "")
        for key in values
        if key not in known
    ]
    if values.get("version", VERSION) != VERSION:
        faults.append(f"version is not {VERSION}")
    clean: dict[str, Json] = {}
    missing = []
    for question in QUESTIONS:
        value = _lenient(question, values.get(question.name))
        if value in (None, "", {}) or (value == [] and not question.needed):
            missing += [question] if question.needed else []
            continue
        faults += _faults(question, value)
        clean[question.name] = value
    if faults or missing:
        raise _unusable(faults, missing)
    made = {name: tuple(value) if isinstance(value, list) else value for name, value in clean.items()}
    return Card(**made, version=VERSION)  # type: ignore[arg-type]  # every field was checked by _faults


def _unusable(faults: Sequence[str], missing: Sequence[Question]) -> InvalidInput:
    lines = [*faults, *(f"'{one.name}' is missing (such as {one.name}: {one.example})" for one in missing)]
    return InvalidInput(
        "The provenance card cannot be used: " + "; ".join(lines) + ".",
        why="A card must answer where the data comes from, how it was collected and how it was treated for bias.",
        fix="Let custody ask you: custody dataset card --ask -o card.yaml. Write 'unknown' for a source, legal basis or purpose nobody can name.",
        facts={"faults": list(faults), "missing": [one.name for one in missing]},
    )


def _lenient(question: Question, value: Json) -> Json:
    """Take one word for a list of one, a number for a text; nothing else is guessed."""
    if question.form is Form.LIST and isinstance(value, str):
        return [value]
    if question.form is Form.TEXT and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else value


def _faults(question: Question, value: Json) -> list[str]:
    match question.form:
        case Form.TEXT:
            return _text_faults(question, value)
        case Form.LIST:
            return _list_faults(question, value)
        case Form.TABLE:
            return _table_faults(question, value)
        case Form.ROWS:
            if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
                return [f"'{question.name}' must be a list of mappings (such as {question.example})"]
            return [fault for row in value for fault in _table_faults(question, row)]


def _text_faults(question: Question, value: Json) -> list[str]:
    if not isinstance(value, str):
        return [f"'{question.name}' must be a text"]
    if question.choices and value not in question.choices:
        return [f"'{question.name}' must be one of {', '.join(question.choices)}"]
    if question.needed and not question.choices and question.name != "retention" and len(value) < SHORTEST:
        return [f"'{question.name}' is too short to say anything"]
    special = _SPECIAL.get(question.name)
    return [f"'{question.name}' {fault}"] if special and (fault := special(value)) else []


def _list_faults(question: Question, value: Json) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        return [f"'{question.name}' must be a list of texts"]
    if not value and question.name not in _MAY_BE_EMPTY:
        return [f"'{question.name}' is empty"]
    faults = [f"'{question.name}' may say {', '.join(question.choices)}"] if _strange(question, value) else []
    if question.name == "purposes":
        faults += [fault for one in value if one != UNKNOWN and (fault := fault_of(str(one)))]
    return faults


def _strange(question: Question, value: Sequence[Json]) -> bool:
    return bool(question.choices) and any(item not in question.choices for item in value)


def _table_faults(question: Question, value: Json) -> list[str]:
    if not isinstance(value, dict):
        return [f"'{question.name}' must be a mapping (such as {question.example})"]
    if any(isinstance(item, dict) or item is None for item in value.values()):
        return [f"'{question.name}' holds something that is no text or number"]
    faults = [f"'{question.name}' has no '{key}'" for key in value if question.keys and key not in question.keys]
    if question.name == "categories":
        roots = ("user", "system", "custom")
        faults += [f"'{item}' is not a data category" for item in value.values() if str(item).partition(".")[0] not in roots]
    if question.name == "bias_mitigation" and value.get("method") not in MITIGATIONS:
        faults.append(f"the 'method' of 'bias_mitigation' must be one of {', '.join(MITIGATIONS)}")
    if question.name == "deidentification":
        faults += [
            f"'{key}' of 'deidentification' must be a whole number of at least 1" for key in ("k", "l") if _no_bound(value, key)
        ]
    age = value.get("max_age_days", 30)
    if question.name == "consent" and (isinstance(age, bool) or not isinstance(age, int | float) or age <= 0):
        faults.append("'max_age_days' of 'consent' must be a number above 0")
    return faults


def _no_bound(value: Mapping[str, Json], key: str) -> bool:
    bound = value.get(key, 1)
    return isinstance(bound, bool) or not isinstance(bound, int) or bound < 1


_SPECIAL: Mapping[str, Callable[[str], str]] = {"retention": fault_of_retention}


def faults_of(question: Question, value: Json) -> list[str]:
    """Say what is wrong with one answer; empty if it will do."""
    return _faults(question, _lenient(question, value))
