"""Compression of answers: what a caller accepts, and how a body is packed."""

from isal import isal_zlib

GZIP_AND_DEFLATE = {b"gzip": 31, b"deflate": 15}  # and how zlib counts their headers


def deflated(body: bytes, encoding: bytes) -> bytes:
    """Compress a body, quickly rather than well."""
    packed: bytes = isal_zlib.compress(body, 1, GZIP_AND_DEFLATE[encoding])
    return packed


def accepted(header: bytes) -> bytes | None:
    """Return what an `Accept-Encoding` likes best of gzip and deflate; None if it likes neither, or no compression better."""
    likes = {}
    for part in header.lower().split(b","):
        name, _, quality = part.partition(b";")
        likes[name.strip()] = _quality(quality)
    others = likes.get(b"*", 0.0)
    best = max(GZIP_AND_DEFLATE, key=lambda name: likes.get(name, others))
    return best if likes.get(best, others) > likes.get(b"identity", 0.0) else None


def _quality(text: bytes) -> float:
    name, _, value = text.partition(b"=")
    if not name.strip():
        return 1.0
    try:
        return float(value) if name.strip() == b"q" else 0.0
    except ValueError:  # not compressed is what everybody can read
        return 0.0
