"""Version 1.1 of the consumer, which runs beside the new one during a deploy, and before it.

It kept no outbox: it marked a record once its answer was sent, and found what was owed when the message came
again. Here it handles one message, and dies after so many writes; the message stays in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid5

from botocore.exceptions import ClientError

from tests.simulation.answer_rules import NAMESPACE
from tests.simulation.messages import OmsMessage
from tests.simulation.records import Record, items, outcome
from tests.support.engines import FakeStage

_TTL = {"N": "1760000000"}


class _Dies(Exception):
    """It has done as many writes as it may."""


class OldConsumer:
    """Handles `message` with at most `steps` writes; `pause` lets others act between two of them."""

    def __init__(
        self,
        stage: FakeStage,
        message: OmsMessage,
        steps: int,
        pause: Callable[[], None],
        log: Callable[[str, Any], None],
    ) -> None:
        self._stage = stage
        self._message = message
        self._steps = steps
        self._pause = pause
        self._log = log

    def __call__(self) -> None:
        """Handle the message, until a transaction is cancelled or no step is left."""
        try:
            record = self._find()
            if self._message.kind == "release" and outcome(record) in {None, "RESERVED"}:
                self._release(record)
            elif record is None:
                self._reserve()
            self._answer()
        except (_Dies, ClientError) as why:
            self._log("ends", f"{self._message.order_id}: {why}")

    def _find(self) -> Record | None:
        key = {"order_id": {"S": self._message.order_id}}
        record: Record | None = self._stage.dynamodb.get_item(
            TableName=self._stage.tables.processed_events_table, Key=key, ConsistentRead=True
        ).get("Item")
        self._pause()
        return record

    def _stock(self, skus: Mapping[str, int]) -> dict[str, int | None]:
        found = {
            sku: self._stage.dynamodb.get_item(
                TableName=self._stage.tables.inventory_table, Key={"sku": {"S": sku}}, ConsistentRead=True
            ).get("Item")
            for sku in skus
        }
        self._pause()
        return {sku: int(item["quantity"]["N"]) if item else None for sku, item in found.items()}

    def _reserve(self) -> None:
        asked = self._message.items
        stock = self._stock(asked)
        short = {sku: units for sku, units in stock.items() if (units or 0) < asked[sku]}
        order = {"order_id": self._message.order_id, "customer_id": f"customer of {self._message.order_id}"}
        if short:
            reasons = {
                sku: "SKU_NOT_FOUND" if units is None else "INSUFFICIENT_STOCK"
                for sku, units in short.items()
            }
            lines = [
                {
                    "sku": sku,
                    "requested": asked[sku],
                    "available": units or 0,
                    "reason": reasons[sku],
                }
                for sku, units in short.items()
            ]
            reason = "SKU_NOT_FOUND" if None in short.values() else "INSUFFICIENT_STOCK"
            event = self._event("InventoryReservationFailed", **order, reason=reason, items=lines)
            changes = [
                self._check(sku, "attribute_not_exists(sku)")
                if units is None
                else self._check(sku, "quantity < :units", asked[sku])
                for sku, units in short.items()
            ]
        else:
            event = self._event("InventoryReserved", **order, items=_lines(asked))
            changes = [self._move(sku, "-", units, "quantity >= :units") for sku, units in asked.items()]
        item = self._item("REJECTED" if short else "RESERVED", asked) | {
            "customer_id": {"S": order["customer_id"]},
            "event": {"S": event},
        }
        self._commit([*changes, self._put(item)], item["outcome"]["S"])

    def _release(self, record: Record | None) -> None:
        order_id = self._message.order_id
        if record is None:
            event = self._event("InventoryReleased", order_id=order_id, items=[])
            item = self._item("RELEASED", {}) | {"release_event": {"S": event}}
            self._commit([self._put(item)], "RELEASED")
            return
        if "published_at" not in record:
            self._send(record["event"]["S"])
        stock = self._stock(items(record))
        back = {sku: units for sku, units in items(record).items() if stock[sku] is not None}
        missing = [sku for sku, units in stock.items() if units is None]
        extra = {"missing": missing} if missing else {}
        event = self._event("InventoryReleased", order_id=order_id, items=_lines(back), **extra)
        changes = [self._move(sku, "+", units, "attribute_exists(sku)") for sku, units in back.items()]
        changes += [self._check(sku, "attribute_not_exists(sku)") for sku in missing]
        update = {
            "TableName": self._stage.tables.processed_events_table,
            "Key": {"order_id": {"S": order_id}},
            "UpdateExpression": (
                "SET outcome = :released, release_event = :event, "
                "published_at = if_not_exists(published_at, :now)"
            ),
            "ConditionExpression": "outcome = :reserved",
            "ExpressionAttributeValues": {
                ":released": {"S": "RELEASED"},
                ":reserved": {"S": "RESERVED"},
                ":event": {"S": event},
                ":now": {"S": self._now},
            },
        }
        self._commit([*changes, {"Update": update}], "RELEASED")

    def _answer(self) -> None:
        """Send what the record owes, and mark it as sent."""
        record = self._find()
        name, mark = ("event", "published_at")
        if outcome(record) == "RELEASED":
            name, mark = ("release_event", "release_published_at")
        if record is None or name not in record or mark in record:
            return
        self._send(record[name]["S"])
        self._step(f"marks {self._message.order_id}")
        self._stage.dynamodb.update_item(
            TableName=self._stage.tables.processed_events_table,
            Key={"order_id": {"S": self._message.order_id}},
            UpdateExpression=f"SET {mark} = :now",
            ConditionExpression="outcome = :outcome",
            ExpressionAttributeValues={":now": {"S": self._now}, ":outcome": record["outcome"]},
        )

    def _commit(self, actions: list[Any], what: str) -> None:
        self._step(f"commits {self._message.order_id} {what}")
        self._stage.dynamodb.transact_write_items(TransactItems=actions)

    def _send(self, body: str) -> None:
        kind = json.loads(body)["type"]
        self._step(f"sends {kind} {self._message.order_id}")
        self._stage.sqs.send_message(
            QueueUrl=self._stage.oms_queue_url,
            MessageBody=body,
            MessageAttributes={"type": {"DataType": "String", "StringValue": kind}},
        )

    def _step(self, what: str) -> None:
        self._pause()
        if self._steps <= 0:
            raise _Dies("it dies")
        self._steps -= 1
        self._log("", what)

    @property
    def _now(self) -> str:
        return datetime.fromtimestamp(self._stage.clock.now, UTC).isoformat()

    def _event(self, kind: str, *, order_id: str, **details: Any) -> str:
        id_ = str(uuid5(NAMESPACE, f"{kind}:{order_id}"))
        head = {"type": kind, "event_id": id_, "order_id": order_id}
        return json.dumps(head | details | {"timestamp": self._now})

    def _item(self, outcome: str, asked: Mapping[str, int]) -> dict[str, Any]:
        return {
            "order_id": {"S": self._message.order_id},
            "outcome": {"S": outcome},
            "items": {"M": {sku: {"N": str(units)} for sku, units in asked.items()}},
            "created_at": {"S": self._now},
            "ttl": _TTL,
        }

    def _put(self, item: dict[str, Any]) -> Any:
        table = self._stage.tables.processed_events_table
        condition = "attribute_not_exists(order_id)"
        return {"Put": {"TableName": table, "Item": item, "ConditionExpression": condition}}

    def _move(self, sku: str, sign: str, units: int, condition: str) -> Any:
        change = f"SET quantity = quantity {sign} :units"
        request = self._stock_request(sku, condition) | {"UpdateExpression": change}
        return {"Update": request | {"ExpressionAttributeValues": {":units": {"N": str(units)}}}}

    def _check(self, sku: str, condition: str, units: int | None = None) -> Any:
        request = self._stock_request(sku, condition)
        if units is not None:
            request["ExpressionAttributeValues"] = {":units": {"N": str(units)}}
        return {"ConditionCheck": request}

    def _stock_request(self, sku: str, condition: str) -> dict[str, Any]:
        table = self._stage.tables.inventory_table
        return {"TableName": table, "Key": {"sku": {"S": sku}}, "ConditionExpression": condition}


def _lines(units: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": count} for sku, count in units.items()]
