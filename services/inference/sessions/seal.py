"""States that leave the service and come back: signed, so that none is taken that we did not give."""

import base64
import binascii
import hmac
from functools import lru_cache
from hashlib import sha256

from shared.config import get_settings
from shared.db.engine import transaction
from shared.db.secrets import SecretStore

NAME = "session states"
SIGNATURE_BYTES = sha256().digest_size


class BadSeal(ValueError):
    """Not sealed with our key, or changed since."""


def seal(data: bytes) -> str:
    """The bytes as text, with a signature (HMAC-SHA256) before them."""
    return base64.urlsafe_b64encode(_signature(data) + data).decode()


def unseal(text: str) -> bytes:
    """What was sealed; raises `BadSeal`."""
    try:
        sealed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadSeal("it is not base64") from error
    signature, data = sealed[:SIGNATURE_BYTES], sealed[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(data)):
        raise BadSeal("its signature is not of this service")
    return data


def _signature(data: bytes) -> bytes:
    chosen = get_settings().session_key
    key = chosen.get_secret_value().encode() if chosen else _kept_key(_database())
    return hmac.digest(key, data, "sha256")


def _database() -> str:
    return get_settings().database_url.get_secret_value()


@lru_cache(maxsize=1)
def _kept_key(database_url: str) -> bytes:
    """The key of this database; the first that asks makes it."""
    with transaction() as db:
        return SecretStore(db).get_or_make(NAME)
