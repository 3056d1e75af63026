"""A key service that refuses, is away, answers nonsense or shows a certificate that nobody trusts: each is told apart."""

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from custody.adapters.blobs.keys import transit
from custody.adapters.blobs.keys.master import open_master
from custody.core.errors import Unavailable

TOKEN = {"BAO_TOKEN": "hvs.secret-token"}


class _Service(BaseHTTPRequestHandler):
    """Answers what a test says, and remembers what it was asked."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""
    waits: ClassVar[threading.Event | None] = None
    asked: ClassVar[list[tuple[str, dict[str, str], dict[str, str]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        if self.waits is not None:
            self.waits.wait(30)
        self.send_response(self.status)
        if 300 <= self.status < 400:
            self.send_header("Location", "https://elsewhere.example/v1/transit/encrypt/custody")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def service(
    status: int = 200, body: object = None, *, waits: threading.Event | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler = type("_Told", (_Service,), {"status": status, "body": raw, "waits": waits, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    _Service.asked = handler.asked  # type: ignore[attr-defined]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/v1/team/transit/keys/custody"
    finally:
        if waits is not None:
            waits.set()
        server.shutdown()
        thread.join()
        server.server_close()


WRAPPED = {"request_id": "1", "lease_id": "", "data": {"ciphertext": "vault:v3:c2VjcmV0", "key_version": 3}, "warnings": None}


def test_the_request_is_what_the_transit_engine_documents() -> None:
    environ = {**TOKEN, "VAULT_NAMESPACE": "team-a"}
    with service(body=WRAPPED) as url:
        assert open_master(url, environ=environ, folder=Path()).wrap(b"key", b"place") == "vault:v3:c2VjcmV0"
        path, headers, body = _Service.asked[0]
    assert path == "/v1/team/transit/encrypt/custody"
    assert body == {"plaintext": "a2V5", "associated_data": "cGxhY2U="}
    assert headers["x-vault-token"] == "hvs.secret-token"
    assert headers["x-vault-namespace"] == "team-a"
    assert headers["x-vault-request"] == "true"
    with service(body={"data": {"plaintext": "a2V5"}}) as url:
        assert open_master(url, environ=TOKEN, folder=Path()).unwrap("vault:v1:b2xk", b"place") == b"key"
        path, headers, body = _Service.asked[0]
    assert path == "/v1/team/transit/decrypt/custody"
    assert body == {
        "ciphertext": "vault:v1:b2xk",
        "associated_data": "cGxhY2U=",
    }  # an older version of the key is named by the text
    assert "x-vault-namespace" not in headers


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, {"errors": ["permission denied"]}, r"status 403: the token may not .*\(permission denied\)"),
        (400, {"errors": ["encryption key not found"]}, r"status 400: .*\(encryption key not found\)"),
        (404, {"errors": []}, "status 404: no such engine or key"),
        (503, {"errors": ["Vault is sealed"]}, "status 503: it is sealed"),
        (307, b"", "status 307: it redirects"),
        (500, b"<html>", "status 500"),
        (200, b"<html>", "something else than a transit"),
        (200, {"data": None}, "something else than a transit"),
        (200, {"data": {"ciphertext": "plain text"}}, "something else than a wrapped key"),
    ],
)
def test_each_refusal_is_told_in_words_without_the_token(status: int, body: object, told: str) -> None:
    with service(status, body) as url, pytest.raises(Unavailable, match=told) as refusal:
        open_master(url, environ=TOKEN, folder=Path()).wrap(b"x", b"c")
    assert "secret-token" not in str(refusal.value)


def test_a_service_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transit, "_TIMEOUT_S", 0.2)
    with service(body=WRAPPED, waits=threading.Event()) as url, pytest.raises(Unavailable, match="did not answer within"):
        open_master(url, environ=TOKEN, folder=Path()).wrap(b"x", b"c")


def test_a_certificate_is_always_checked_and_ones_own_authority_can_be_named(tmp_path: Path) -> None:
    with service(body=WRAPPED, tls=_certified(tmp_path)) as url:
        with pytest.raises(Unavailable, match="not trusted"):
            open_master(url, environ=TOKEN, folder=Path()).wrap(b"x", b"c")
        with pytest.raises(Unavailable, match="is not there"):
            open_master(url, environ={**TOKEN, "BAO_CACERT": str(tmp_path / "absent")}, folder=Path()).wrap(b"x", b"c")
        trusted = open_master(url, environ={**TOKEN, "BAO_CACERT": str(tmp_path / "ca.pem")}, folder=Path())
        assert trusted.wrap(b"x", b"c") == "vault:v3:c2VjcmV0"


def _certified(folder: Path) -> ssl.SSLContext:
    """Make a certificate for loopback that is its own authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context
