"""Snapshots of MiniStack's data on disk: each is one instant of all tables and queues."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from ministack.core import persistence
from ministack.services import dynamodb, sqs

# MiniStack's own persistence saves only at a clean stop, writes one file per service, and treats a corrupt
# file as an empty one. A snapshot is one file for both services, saved while MiniStack runs.
_SERVICES: Final = {"dynamodb": dynamodb, "sqs": sqs}


class Snapshots:
    """The snapshots in one folder: the newest, and the previous one in case the newest cannot be read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._newest = folder / "snapshot.json"
        self._before = folder / "snapshot.before.json"

    def restore(self) -> None:
        """Load the newest readable snapshot into MiniStack; rename an unreadable one."""
        for file in (self._newest, self._before):
            if not file.exists():
                continue
            try:
                state = json.loads(file.read_text(), object_hook=persistence._json_object_hook)
                parts = [(service, state[name]) for name, service in _SERVICES.items()]
                for service, part in parts:
                    service.load_persisted_state(part)
            except (ValueError, KeyError, TypeError) as error:
                aside = file.with_suffix(".unreadable")
                file.replace(aside)
                print(f"The snapshot {file.name} cannot be read ({error}); it is kept as {aside.name}.")
            else:
                return

    def save(self, state: dict[str, Any]) -> None:
        """Write `state`, from `capture()`, so that a crash at any moment leaves a complete snapshot."""
        fresh = self._newest.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(state, file, default=persistence._json_default)
            file.flush()
            os.fsync(file.fileno())
        if self._newest.exists():
            self._newest.replace(self._before)
        fresh.replace(self._newest)


def capture() -> dict[str, Any]:
    """Copy MiniStack's current data; call this on MiniStack's event loop, which runs one call at a time."""
    return {name: service.get_state() for name, service in _SERVICES.items()}
