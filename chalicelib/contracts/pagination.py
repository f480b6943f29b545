"""`next_token`: where the next page of a listing begins.

A token contains the last SKU of a page, and a checksum of it and the listing's name. So a token that was
cut, changed or made for another listing is refused. It contains no secret: whoever forges one names only a
place in a list that they may read anyway.
"""

import hashlib
from base64 import b64decode, urlsafe_b64encode
from typing import Final

from chalicelib.contracts.fields import is_sku
from chalicelib.errors import FieldError, InvalidPageToken

_CHECKSUM_BYTES: Final = 9


def encode(listing: str, sku: str) -> str:
    """Make the token for the page of `listing` that follows `sku`."""
    checksum = hashlib.sha256(f"{listing}\0{sku}".encode()).digest()[:_CHECKSUM_BYTES]
    return urlsafe_b64encode(checksum + sku.encode()).decode().rstrip("=")


def decode(listing: str, token: str) -> str:
    """Return the SKU in a `token` that `encode` made for `listing`. Raises `InvalidPageToken` otherwise."""
    try:
        padded = token + "=" * (-len(token) % 4)
        sku = b64decode(padded, b"-_", validate=True)[_CHECKSUM_BYTES:].decode()
    except ValueError as error:
        raise _refused() from error
    # Encoding the SKU again must give the same token.
    if not is_sku(sku) or encode(listing, sku) != token:
        raise _refused()
    return sku


def _refused() -> InvalidPageToken:
    message = "was not made by this listing"
    return InvalidPageToken(f"next_token {message}", [FieldError("next_token", message)])
