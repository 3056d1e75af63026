"""A master key inside AWS KMS, which wraps and unwraps, and never hands the key out."""

import base64
import binascii
from typing import Any
from urllib.parse import parse_qs, urlsplit

from custody.core.errors import InvalidInput, Unavailable

EXAMPLE = "aws-kms://alias/custody?region=eu-central-1"
_TIMEOUT_S, _TRIES = 10, 2
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class AwsMaster:
    """Wraps with one symmetric key of AWS KMS; who asks is settled as boto3 settles it (environment, profile, instance role).

    url: `aws-kms://`, the key's id, ARN or `alias/NAME`, and `?region=`; `&endpoint=` for a private endpoint. The context of a
    data key travels as encryption context, so that the service refuses a wrapped key that was put in another one's place.
    Source: AWS KMS API reference, Encrypt and Decrypt.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self._key = f"{parts.netloc}{parts.path}"
        if parts.scheme != "aws-kms" or not self._key or given.keys() - {"region", "endpoint"} or "region" not in given:
            raise InvalidInput(
                "That is not the address of a key in AWS KMS.",
                why="It is aws-kms://, the key's id, ARN or alias/NAME, and ?region=REGION.",
                fix=f"Write for example {EXAMPLE}",
            )
        endpoint = urlsplit(given.get("endpoint", ""))
        if endpoint.scheme == "http" and endpoint.hostname not in _LOOPBACK:
            raise InvalidInput(
                "AWS KMS is asked over https.", why="Plain http is for this machine only.", fix=f"Write for example {EXAMPLE}"
            )
        self._client = _client(given["region"], given.get("endpoint"))
        self.name = f"aws-kms:{self._key.rpartition('/')[2]}"

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Encrypt a data key for one context, as base64."""
        return base64.b64encode(self._ask("encrypt", "CiphertextBlob", context, Plaintext=secret)).decode()

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Decrypt a data key; Unavailable if the service refuses, or does not answer."""
        try:
            body = base64.b64decode(wrapped, validate=True)
        except binascii.Error as error:
            raise _refused("This data key was not wrapped by AWS KMS.") from error
        return self._ask("decrypt", "Plaintext", context, CiphertextBlob=body)

    def _ask(self, verb: str, field: str, context: bytes, **body: bytes) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        bound = {"custody": base64.b64encode(context).decode()}
        try:
            answer: bytes = getattr(self._client, verb)(KeyId=self._key, EncryptionContext=bound, **body)[field]
        except ClientError as error:
            raise _refused(f"It refused: {error.response.get('Error', {}).get('Code', 'no reason given')}.") from error
        except BotoCoreError as error:
            raise _refused(f"It cannot be asked ({type(error).__name__}).") from error
        return answer


def _client(region: str, endpoint: str | None) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise InvalidInput("AWS KMS needs boto3.", fix="pip install 'custody-ml[s3]'") from error
    config = Config(connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": _TRIES})
    return boto3.client("kms", region_name=region, endpoint_url=endpoint, config=config)


def _refused(why: str) -> Unavailable:
    return Unavailable(
        "AWS KMS does not wrap or unwrap data keys.",
        why=why,
        fix="Check region and key, the credentials of this process, and that they may kms:Encrypt and kms:Decrypt with it.",
    )
