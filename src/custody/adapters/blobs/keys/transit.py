"""A master key inside a key service: OpenBao's or Vault's transit engine wraps and unwraps, and never hands the key out."""

import base64
import binascii
import re
from typing import Any

from custody.core.errors import InvalidInput, Unavailable

_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[^/@?#]+)/v1/(?P<mount>[\w./-]+)/keys/(?P<key>[\w.-]+)")
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


class TransitMaster:
    """Wraps over HTTP with one named key.

    token: sent as X-Vault-Token. Plain http is allowed to this machine only. The context of a data key travels as
    `associated_data`, so that the service refuses a wrapped key that was put in the place of another tenant's.
    """

    def __init__(self, url: str, token: str) -> None:
        match = _URL.fullmatch(url)
        if match is None or (match["scheme"] == "http" and not _LOOPBACK.fullmatch(match["host"])):
            raise InvalidInput(
                "That is not the address of a key in a transit engine.",
                why="It is https (http on this machine only), a host, /v1/, the engine's mount, /keys/ and the key's name.",
                fix="Write for example https://vault.example:8200/v1/transit/keys/custody",
            )
        if not token:
            raise Unavailable("The key service asks for a token.", fix="Set BAO_TOKEN or VAULT_TOKEN for this process.")
        self._base, self._key, self._token = url.rpartition("/keys/")[0], match["key"], token
        self.name = f"transit:{match['key']}"

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Encrypt a data key for one context, as the service's own text."""
        asked = {"plaintext": _text(secret), "associated_data": _text(context)}
        return str(self._ask("encrypt", asked)["ciphertext"])

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Decrypt a data key; Unavailable if the service refuses, or does not answer."""
        answer = self._ask("decrypt", {"ciphertext": wrapped, "associated_data": _text(context)})
        return base64.b64decode(str(answer["plaintext"]), validate=True)

    def _ask(self, verb: str, body: dict[str, str]) -> dict[str, Any]:
        import httpx

        try:
            answer = httpx.post(
                f"{self._base}/{verb}/{self._key}", json=body, headers={"X-Vault-Token": self._token}, timeout=10, trust_env=False
            )
            answer.raise_for_status()
            data: dict[str, Any] = answer.json()["data"]
        except httpx.HTTPStatusError as error:
            raise _refused(f"It answered with status {error.response.status_code}.") from error
        except (httpx.HTTPError, ValueError, KeyError, TypeError, binascii.Error) as error:
            raise _refused(f"It cannot be reached, or answered something else ({type(error).__name__}).") from error
        return data


def _text(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _refused(why: str) -> Unavailable:
    return Unavailable(
        "The key service does not wrap or unwrap data keys.",
        why=why,
        fix="Check its address, the token and the policy on the key (encrypt and decrypt), then try again.",
    )
