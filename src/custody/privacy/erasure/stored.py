"""Models that hold rows in themselves: told by the operators of their ONNX file, whatever a run says of its framework."""

_STORES = {
    "SVMClassifier": "support vectors",
    "SVMRegressor": "support vectors",
    "Scan": "rows that it measures distances to",
    "CDist": "rows that it measures distances to",
    "TfIdfVectorizer": "the words of its training texts",
}


def stores_rows(onnx: bytes) -> str:
    """Return why a model holds training rows in itself; empty for the others.

    Read off the operators that converters write for support vector machines, neighbours, Gaussian processes and vocabularies.
    Source: onnx.proto, NodeProto: `op_type` is its field 4, so that each node spells its operator as b'"', length, name.
    """
    return next((f"it stores {what}" for operator, what in _STORES.items() if _spelled(operator) in onnx), "")


def _spelled(operator: str) -> bytes:
    return bytes((4 << 3 | 2, len(operator))) + operator.encode()
