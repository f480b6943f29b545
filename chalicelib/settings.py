"""The environment as typed models, read once per process by `chalicelib.bootstrap`."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from chalicelib.errors import SettingsError

Name = Annotated[str, Field(min_length=1)]
OptionalCount = Annotated[int | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A number that may be left out: an empty variable counts as not set."""


class Settings(BaseModel):
    """The base of all settings: they are read from the environment and never change."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `environ` (None: the environment of the process).

        Raises `SettingsError`, which names each variable that is missing or invalid.
        """
        try:
            return cls.model_validate(os.environ if environ is None else environ)
        except ValidationError as invalid:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in invalid.errors())
            raise SettingsError(f"invalid environment: {faults}") from invalid


class TableSettings(Settings):
    """The names of the tables, and for how many days a record is kept, and a firm order stays open."""

    product_table: Name = Field(validation_alias="PRODUCT_TABLE_NAME")
    inventory_table: Name = Field(validation_alias="INVENTORY_TABLE_NAME")
    processed_events_table: Name = Field(validation_alias="PROCESSED_EVENTS_TABLE_NAME")
    outbox_table: Name = Field(validation_alias="OUTBOX_TABLE_NAME")
    record_ttl_days: int = Field(default=90, ge=2, validation_alias="RECORD_TTL_DAYS")
    fulfill_after_days: OptionalCount = Field(
        default=None, ge=1, le=3650, validation_alias="FULFILL_AFTER_DAYS"
    )

    @property
    def aging(self) -> timedelta | None:
        """After that time the sweep closes a firm order; None: never."""
        return None if self.fulfill_after_days is None else timedelta(days=self.fulfill_after_days)


class QueueSettings(Settings):
    """The URL of the queue of the answers."""

    oms_events_queue_url: Name = Field(validation_alias="OMS_EVENTS_QUEUE_URL")


class AuthSettings(Settings):
    """The issuer and audience of valid tokens; if one of them is empty, every token is denied.

    `scope_prefix` is what the issuer puts before the names of our scopes.
    """

    issuer: str = Field(default="", validation_alias="AUTH_ISSUER")
    audience: str = Field(default="", validation_alias="AUTH_AUDIENCE")
    jwks_url: str = Field(default="", validation_alias="AUTH_JWKS_URL")
    scope_prefix: str = Field(default="", validation_alias="AUTH_SCOPE_PREFIX")

    @property
    def keys_url(self) -> str:
        """The URL of the issuer's keys; the default is the issuer's well-known path."""
        return self.jwks_url or f"{self.issuer.rstrip('/')}/.well-known/jwks.json"
