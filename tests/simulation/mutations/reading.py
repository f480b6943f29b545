"""Bugs in reading messages as they come."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from chalicelib.consumer import body, consumer, inbox
from chalicelib.errors import Poison
from tests.simulation.mutations.registry import MutationRegistry, Patch

MUTATIONS = MutationRegistry()


@MUTATIONS("the last value of a repeated key counts")
def _(patch: Patch) -> None:
    patch(body, "_is_complete", lambda message, text: True)


@MUTATIONS("a timestamp of any future is taken")
def _(patch: Patch) -> None:
    original = inbox.sort
    patch(
        consumer, "sort", lambda messages, oldest, newest: original(messages, oldest, max(newest, _FOREVER))
    )


@MUTATIONS("a release needs a valid timestamp", 1000)
def _(patch: Patch) -> None:
    original = inbox.COMMANDS["ReleaseInventory"]

    def release(order_id: str, message: Any, errors: Any) -> Any:
        if message.get("timestamp") == "yesterday":
            raise Poison("the timestamp is invalid")
        return original(order_id, message, errors)

    patch(inbox, "COMMANDS", {**inbox.COMMANDS, "ReleaseInventory": release})


@MUTATIONS("an envelope is not taken off")
def _(patch: Patch) -> None:
    patch(inbox, "read_body", lambda text: (body._object(text)[0], ()))


def _refuse(_: str) -> Any:
    raise Poison("the body is not JSON")


@MUTATIONS("a part that no parser takes makes a message poison")
def _(patch: Patch) -> None:
    patch(body, "_shallow", _refuse)


@MUTATIONS("a NaN makes a message poison")
def _(patch: Patch) -> None:
    patch(
        body,
        "_DECODER",
        json.JSONDecoder(strict=False, parse_constant=_refuse, object_pairs_hook=body._members),
    )


@MUTATIONS("a control character in a text makes a message poison")
def _(patch: Patch) -> None:
    patch(body, "_DECODER", json.JSONDecoder(strict=True, object_pairs_hook=body._members))


_FOREVER = datetime.max.replace(tzinfo=UTC)
