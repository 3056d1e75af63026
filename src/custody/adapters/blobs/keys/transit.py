"""A master key inside a key service: OpenBao's or Vault's transit engine wraps and unwraps, and never hands the key out."""

import base64
import binascii
import json
import re
import ssl
from typing import Any

from custody.core.errors import InvalidInput, Unavailable

_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[^/@?#]+)/v1/(?P<mount>[\w./-]+)/keys/(?P<key>[\w.-]+)")
_WRAPPED = re.compile(r"[a-z]+:v[1-9][0-9]*:[A-Za-z0-9+/=]+")
_NAMESPACE, _TIMEOUT_S, _WORDS = "X-Vault-Namespace", 10, 200
_MEANS = {
    400: "it does not take the request, or was given another key's data",
    403: "the token may not use the key, or has expired",
    404: "no such engine or key",
    429: "too many requests, or a standby",
    503: "it is sealed, or under maintenance",
}
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


class TransitMaster:
    """Wraps over HTTP with one named key.

    token: sent as X-Vault-Token. namespace: sent as X-Vault-Namespace. ca_file: certificates to trust instead of the usual ones;
    the service's is always checked. No redirect is followed: the token goes to the given host only. Plain http is allowed to
    this machine only. The context of a data key travels as `associated_data`, so that the service refuses a wrapped key that
    was put in the place of another tenant's.
    """

    def __init__(self, url: str, token: str, *, namespace: str = "", ca_file: str = "") -> None:
        match = _URL.fullmatch(url)
        if match is None or (match["scheme"] == "http" and not _LOOPBACK.fullmatch(match["host"])):
            raise InvalidInput(
                "That is not the address of a key in a transit engine.",
                why="It is https (http on this machine only), a host, /v1/, the engine's mount, /keys/ and the key's name.",
                fix="Write for example https://vault.example:8200/v1/transit/keys/custody",
            )
        if not token:
            raise Unavailable("The key service asks for a token.", fix="Set BAO_TOKEN or VAULT_TOKEN for this process.")
        self._base, self._key = url.rpartition("/keys/")[0], match["key"]
        self._headers = {"X-Vault-Token": token, "X-Vault-Request": "true"} | ({_NAMESPACE: namespace} if namespace else {})
        self._ca_file = ca_file
        self.name = f"transit:{match['key']}"

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Encrypt a data key for one context, as the service's own text."""
        asked = {"plaintext": _text(secret), "associated_data": _text(context)}
        wrapped = str(self._ask("encrypt", asked)["ciphertext"])
        if not _WRAPPED.fullmatch(wrapped):  # without the version of its key it could not be unwrapped later
            raise _refused("It answered something else than a wrapped key.")
        return wrapped

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Decrypt a data key; Unavailable if the service refuses, or does not answer."""
        answer = self._ask("decrypt", {"ciphertext": wrapped, "associated_data": _text(context)})
        try:
            return base64.b64decode(str(answer["plaintext"]), validate=True)
        except (KeyError, binascii.Error) as error:
            raise _refused("It answered something else than a data key.") from error

    def _ask(self, verb: str, body: dict[str, str]) -> dict[str, Any]:
        import httpx

        try:
            answer = httpx.post(
                f"{self._base}/{verb}/{self._key}",
                json=body,
                headers=self._headers,
                timeout=_TIMEOUT_S,
                trust_env=False,
                verify=ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True,
            )
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise _refused(_unreached(error)) from error
        if not answer.is_success:
            raise _refused(_said(answer.status_code, answer.content))
        try:
            data: dict[str, Any] = {**answer.json()["data"]}
        except (ValueError, KeyError, TypeError) as error:
            raise _refused("It answered something else than a transit engine does.") from error
        return data


def _said(status: int, body: bytes) -> str:
    """Tell what a refusal means; the service's own words (`{"errors": [...]}`) name no secret, and are cut."""
    known = _MEANS.get(status) or ("it redirects to another host, which is not followed" if 300 <= status < 400 else "")
    try:
        words = "; ".join(str(one) for one in json.loads(body)["errors"])
    except (ValueError, KeyError, TypeError):
        words = ""
    told = " ".join(words.split())[:_WORDS]
    return f"It answered with status {status}" + (f": {known}" if known else "") + (f" ({told})" if told else "") + "."


def _unreached(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "Its certificate is not trusted: set BAO_CACERT or VAULT_CACERT to the file of its authority."
    if isinstance(error, FileNotFoundError):
        return "The file of certificates that BAO_CACERT or VAULT_CACERT names is not there."
    if "Timeout" in type(error).__name__:
        return f"It did not answer within {_TIMEOUT_S} seconds."
    return f"It cannot be reached ({type(error).__name__})."


def _text(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _refused(why: str) -> Unavailable:
    return Unavailable(
        "The key service does not wrap or unwrap data keys.",
        why=why,
        fix="Check its address, the token and the policy on the key (encrypt and decrypt), then try again.",
    )
