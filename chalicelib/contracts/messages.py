"""What comes in from the OMS: one model per message. Unknown fields are ignored, since the OMS may grow."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from chalicelib.contracts.fields import (
    CustomerId,
    OperationId,
    OptionalOperationId,
    OrderId,
    Quantity,
    Sku,
    Timestamp,
    few_skus,
    not_null,
    total,
)
from chalicelib.domain.commands import MAX_HOLD


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class OrderLine(_Message):
    """How many units of a SKU an order asks for, or a change of it is about."""

    sku: Sku
    quantity: Quantity


Lines = Annotated[list[OrderLine], Field(min_length=1)]
PartLines = Annotated[Lines, AfterValidator(few_skus)]


class ReserveInventory(_Message):
    """Take stock for an order; until `expires_at`, if it is a hold."""

    type: Literal["ReserveInventory"]
    order_id: OrderId
    customer_id: CustomerId
    items: Lines
    timestamp: Timestamp
    expires_at: Timestamp | None = None

    @field_validator("expires_at")
    @classmethod
    def _soon(cls, expires_at: datetime | None, others: ValidationInfo) -> datetime | None:
        return None if expires_at is None else _check_end(expires_at, others)


class ConfirmInventory(_Message):
    """Make a hold firm, so that it does not expire any more."""

    type: Literal["ConfirmInventory"]
    order_id: OrderId
    timestamp: Timestamp


class ExtendInventory(_Message):
    """Move the end of a hold."""

    type: Literal["ExtendInventory"]
    order_id: OrderId
    timestamp: Timestamp
    expires_at: Timestamp
    operation_id: OperationId

    @field_validator("expires_at")
    @classmethod
    def _soon(cls, expires_at: datetime, others: ValidationInfo) -> datetime:
        return _check_end(expires_at, others)


class _Part(_Message):
    """All that an order holds, or some `items`, each time under another `operation_id`."""

    order_id: OrderId
    # Null would make a part of an order the whole, so it is refused.
    items: Annotated[PartLines | None, BeforeValidator(not_null)] = None
    operation_id: OptionalOperationId = Field(default=None, validate_default=True)

    def units(self) -> dict[str, int] | None:
        """The units of each SKU that it is about, lines of one SKU added up; None: all that is held."""
        return None if self.items is None else total(self.items)


class FulfillInventory(_Part):
    """The units were shipped."""

    type: Literal["FulfillInventory"]
    timestamp: Timestamp


class ReleaseInventory(_Part):
    """Give the units back: the order, or a part of it, was cancelled.

    Stock must not stay taken because of a field that a release does not need. So a `timestamp` counts if it
    is valid, and a `reason` that is no line of text is ignored.
    """

    type: Literal["ReleaseInventory"]
    reason: object = None
    timestamp: object = None


def _check_end(expires_at: datetime, others: ValidationInfo) -> datetime:
    timestamp = others.data.get("timestamp")
    if timestamp is not None and expires_at - timestamp > MAX_HOLD:
        raise ValueError(f"must be at most {MAX_HOLD.days} days after the timestamp")
    return expires_at
