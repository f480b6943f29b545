"""The usual way to change orders: read the record, one transaction, send the answer; order by order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bench.usual import Steps, answer_to, now

_ANSWERS: Final = {
    "ConfirmInventory": "InventoryConfirmed",
    "FulfillInventory": "InventoryFulfilled",
    "ReleaseInventory": "InventoryReleased",
}
_RECORD: Final = {
    "ConfirmInventory": "SET answer = :answer, updated_at = :now REMOVE expires_at",
    "FulfillInventory": "SET answer = :answer, updated_at = :now, outcome = :outcome",
    "ReleaseInventory": "SET answer = :answer, updated_at = :now, outcome = :outcome",
}
_OUTCOMES: Final = {"FulfillInventory": "FULFILLED", "ReleaseInventory": "RELEASED"}
_STOCK: Final = {
    "FulfillInventory": "SET reserved = reserved - :units, updated_at = :now",
    "ReleaseInventory": "SET reserved = reserved - :units, quantity = quantity + :units, updated_at = :now",
}


def change(steps: Steps, message: Mapping[str, Any]) -> None:
    """Change the whole order that `message` names, if it is still reserved."""
    response = steps.dynamodb.get_item(
        TableName=steps.tables.processed_events_table,
        Key={"order_id": {"S": message["order_id"]}},
        ConsistentRead=True,
    )
    record: Any = response["Item"]
    if record["outcome"]["S"] != "RESERVED" or "answer" in record:
        return
    kind = message["type"]
    answer = answer_to(message, _ANSWERS[kind]) | {
        "items": [{"sku": sku, "quantity": int(units["N"])} for sku, units in record["items"]["M"].items()]
    }
    actions = [_record(steps, message, answer["event_id"])]
    if kind in _STOCK:
        actions += [_move(steps, kind, sku, units) for sku, units in record["items"]["M"].items()]
    steps.dynamodb.transact_write_items(TransactItems=actions)
    steps.send(answer)


def _record(steps: Steps, message: Mapping[str, Any], event_id: str) -> Any:
    values = {":answer": {"S": event_id}, ":now": {"S": now()}, ":reserved": {"S": "RESERVED"}}
    if outcome := _OUTCOMES.get(message["type"]):
        values[":outcome"] = {"S": outcome}
    return {
        "Update": {
            "TableName": steps.tables.processed_events_table,
            "Key": {"order_id": {"S": message["order_id"]}},
            "UpdateExpression": _RECORD[message["type"]],
            "ConditionExpression": "outcome = :reserved AND attribute_not_exists(answer)",
            "ExpressionAttributeValues": values,
        }
    }


def _move(steps: Steps, kind: str, sku: str, units: Any) -> Any:
    return {
        "Update": {
            "TableName": steps.tables.inventory_table,
            "Key": {"sku": {"S": sku}},
            "UpdateExpression": _STOCK[kind],
            "ConditionExpression": "reserved >= :units",
            "ExpressionAttributeValues": {":units": units, ":now": {"S": now()}},
        }
    }
