"""The rules that SQS's three batch calls share: up to 10 entries, each of which fails alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.support.engines.errors import Refusal

Entry = Mapping[str, Any]
_PREFIX: Final = "AWS.SimpleQueueService."


def refused(code: str, message: str, shape: str = "") -> Refusal:
    """An error with a code of the query protocol; `shape` is the name of its exception if that differs."""
    return Refusal(_PREFIX + code, message, query_code=shape or code)


def bad_value(parameter: str, value: Any, reason: str) -> Refusal:
    """An `InvalidParameterValue`."""
    return Refusal(
        "InvalidParameterValue", f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    )


def check_batch(entries: Sequence[Entry], what: str) -> None:
    """Raise the error that refuses the whole batch, if any."""
    if not entries:
        raise refused("EmptyBatchRequest", f"There should be at least one {what} in the request.")
    if len(entries) > 10:
        raise refused(
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent " + f"{len(entries)}.",
        )
    ids = [entry["Id"] for entry in entries]
    for id_ in ids:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", id_):
            raise refused(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long.",
            )
        if ids.count(id_) > 1:
            raise refused("BatchEntryIdsNotDistinct", f"Id {id_} repeated.")


def each(entries: Sequence[Entry], act: Callable[[Entry], dict[str, Any]]) -> dict[str, Any]:
    """Do each entry on its own; `Failed` reports the refused ones."""
    successful, failed = [], []
    for entry in entries:
        try:
            successful.append({"Id": entry["Id"], **act(entry)})
        except Refusal as refusal:
            failed.append(
                {
                    "Id": entry["Id"],
                    "SenderFault": True,
                    "Code": refusal.code,
                    "Message": refusal.message,
                }
            )
    # Leave out an empty list, as the query protocol did.
    answer = {"Successful": successful, "Failed": failed}
    return {name: entries for name, entries in answer.items() if entries}
