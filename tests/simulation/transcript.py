"""A history as a text for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from tests.simulation.network import LogLine
from tests.simulation.run import History
from tests.simulation.scenario import Scenario

_QUIET: Final = frozenset({"receive_message", "delete_message_batch"})
# Parts that are the same in every request, or only show the time.
_NOISE: Final = re.compile(r", updated_at = \S+| if attribute_not_exists\(order_id\)")


def transcript(history: History) -> str:
    """What was asked for, what happened until it went wrong, and what is wrong with it."""
    violation = history.violation
    if violation is None:
        head, log = "violates nothing", history.log
    else:
        head = f"violates “{violation.invariant}”: {violation.how}"
        log = [line for line in history.log if line.entry <= violation.entry]
    lines = [_line(line) for line in log if line.fault or not (line.action in _QUIET or _is_idle(line))]
    return "\n".join(
        (f"seed {history.scenario.seed} {head}", *_describe(history.scenario), "what happened:", *lines)
    )


def _is_idle(line: LogLine) -> bool:
    """Whether a sweep has found nothing to do."""
    return line.action in {"scan", "query"} and isinstance(line.result, dict) and not line.result["Items"]


def _describe(scenario: Scenario) -> Iterator[str]:
    yield (
        f"environment: {scenario.consumers} consumers, batches of {scenario.batch}, visibility "
        f"{scenario.visibility:g} s, {scenario.max_receives} receives, time limit {scenario.time_limit:g} s, "
        f"latency {scenario.latency:g} s"
        + (f", refused order {scenario.refused_order}" if scenario.refused_order else "")
        + (f", OMS queue away until {scenario.away[1]:g} s" if scenario.away[1] else "")
        + f", {scenario.sweepers} sweeps every {scenario.sweep_every:g} s after {scenario.patience:g} s"
    )
    yield "stock: " + (", ".join(f"{units} {sku}" for sku, units in scenario.stock.items()) or "none")
    yield "messages:"
    for number, message in enumerate(scenario.messages):
        yield f"  {message.at:9.4f} {number:>3} {message}"
    for number, writes in enumerate(scenario.writes):
        yield f"writer {number}: " + ("; ".join(map(str, writes)) or "nothing")
    life = scenario.life
    if not life.sweepers:
        return
    yield (
        f"orders: holds end by {life.sweepers} sweeps every {life.sweep_every:g} s, the index is "
        f"{life.index_lag:g} s late, {life.max_operations} operations an order"
        + ("" if life.aging is None else f", closed after {life.aging:g} s")
        + (f", migrations at {life.migrations}" if life.migrations else "")
        + (", and later, when records have expired" if life.later else "")
    )
    for number, calls in enumerate(life.calls):
        yield f"caller {number}:"
        yield from (f"  {call}" for call in calls)


def _line(line: LogLine) -> str:
    text = f"  {line.time:9.4f} {line.actor:<12} {line.action}"
    if line.call or line.action.startswith("(late)"):
        operation = line.action.removeprefix("(late) ")
        text += f" {_request(operation, line.details)} -> {_result(operation, line.result)}"
    elif line.details is not None:
        text += f" {line.details}"
    return text + (f"   [{line.fault}]" if line.fault else "")


def _request(operation: str, parameters: Mapping[str, Any]) -> str:
    match operation:
        case "transact_write_items":
            return "; ".join(_action(action) for action in parameters["TransactItems"])
        case "batch_get_item":
            keys = [key for part in parameters["RequestItems"].values() for key in part["Keys"]]
            return ", ".join(_value(value) for key in keys for value in key.values())
        case "send_message_batch":
            return "; ".join(_message(entry["MessageBody"]) for entry in parameters["Entries"])
        case "get_item" | "update_item" | "delete_item":
            return ", ".join(_value(value) for value in parameters["Key"].values())
    return ""


def _action(action: Mapping[str, Any]) -> str:
    ((kind, request),) = action.items()
    if kind == "Put":
        text = f"Put {_item(request['Item'])}"
    else:
        (key,) = request["Key"].values()
        text = f"{kind} {_value(key)} {request.get('UpdateExpression', '')}".rstrip()
    if "ConditionExpression" in request:
        text += f" if {request['ConditionExpression']}"
    text = _NOISE.sub("", text)
    for name, value in request.get("ExpressionAttributeValues", {}).items():
        text = re.sub(f"{name}\\b", _value(value), text)
    return text


def _item(item: Mapping[str, Any]) -> str:
    shown = ("id", "order_id", "sku", "outcome", "quantity", "delta", "owed")
    return " ".join(_value(item[name]) for name in shown if name in item)


def _message(body: str) -> str:
    event = json.loads(body)
    return f"{event['type']} {event['order_id']} {event.get('reason', '')}".strip()


def _result(operation: str, result: Any) -> str:
    if isinstance(result, ClientError):
        reasons = result.response.get("CancellationReasons", ())
        return " ".join((result.response["Error"]["Code"], *(reason["Code"] for reason in reasons)))
    if isinstance(result, BaseException):
        return f"{type(result).__name__} {result}"
    if not isinstance(result, dict):
        return "no response"
    if operation == "batch_get_item":
        shown = [_item(item) for items in result["Responses"].values() for item in items]
        return "; ".join(
            (*shown, *(["some unprocessed"] if result["UnprocessedKeys"] else [])) or ["nothing"]
        )
    if operation in {"scan", "query"}:
        return "; ".join(map(_item, result["Items"])) or "nothing"
    failed = [(entry["Id"], entry["Code"]) for entry in result.get("Failed", ())]
    return f"failed {failed}" if failed else _item(result["Item"]) if "Item" in result else "ok"


def _value(value: Mapping[str, Any]) -> str:
    (content,) = value.values()
    text = (
        ", ".join(name.replace("\n", " ") for name in content) if isinstance(content, list) else str(content)
    )
    return text if len(text) < 40 else text[:20] + "…"
