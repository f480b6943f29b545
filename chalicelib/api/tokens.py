"""`next_token`: where the next page of a listing begins.

A token holds the last SKU of a page, and a checksum over it and the listing's name, so that a token that
was cut, changed or made for another listing is refused. There is no secret in it: whoever forges one
names but a place in a list that they may read anyway.
"""

import hashlib
import re
from base64 import b64decode, urlsafe_b64encode
from typing import Final

from chalicelib.core.fields import SKU_PATTERN
from chalicelib.errors import FieldError, InvalidToken

_CHECKSUM_BYTES: Final = 9
_SKU: Final = re.compile(SKU_PATTERN)


def encode(listing: str, sku: str) -> str:
    """The token for the page of `listing` that follows `sku`."""
    checksum = hashlib.sha256(f"{listing}\0{sku}".encode()).digest()[:_CHECKSUM_BYTES]
    return urlsafe_b64encode(checksum + sku.encode()).decode().rstrip("=")


def decode(listing: str, token: str) -> str:
    """The SKU that `encode` made `token` for. Raises `InvalidToken` if it did not, or for another listing."""
    try:
        padded = token + "=" * (-len(token) % 4)
        sku = b64decode(padded, b"-_", validate=True)[_CHECKSUM_BYTES:].decode()
    except ValueError as error:
        raise _refused() from error
    # Made anew, a token is the same to the letter, or it was tampered with.
    if not _SKU.fullmatch(sku) or encode(listing, sku) != token:
        raise _refused()
    return sku


def _refused() -> InvalidToken:
    message = "was not made by this listing"
    return InvalidToken(f"next_token {message}", [FieldError("next_token", message)])
