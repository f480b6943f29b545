"""The environment as typed models, read once per process by `chalicelib.clients`."""

import os
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib.errors import SettingsError

Name = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """What every family of settings has: it is read from the environment and never changes."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `environ` (the process's own if None).

        Raises `SettingsError`, which names each variable that is missing or bad.
        """
        try:
            return cls.model_validate(os.environ if environ is None else environ)
        except ValidationError as invalid:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in invalid.errors())
            raise SettingsError(f"bad environment: {faults}") from invalid


class TableSettings(Settings):
    """Where the data is, and for how long an order's record is kept."""

    product_table: Name = Field(validation_alias="PRODUCT_TABLE_NAME")
    inventory_table: Name = Field(validation_alias="INVENTORY_TABLE_NAME")
    processed_events_table: Name = Field(validation_alias="PROCESSED_EVENTS_TABLE_NAME")
    record_ttl_days: int = Field(default=90, ge=2, validation_alias="RECORD_TTL_DAYS")


class QueueSettings(Settings):
    """Where the answers go."""

    oms_events_queue_url: Name = Field(validation_alias="OMS_EVENTS_QUEUE_URL")


class AuthSettings(Settings):
    """Whose tokens are good; an empty issuer or audience denies all."""

    issuer: str = Field(default="", validation_alias="AUTH_ISSUER")
    audience: str = Field(default="", validation_alias="AUTH_AUDIENCE")
    jwks_url: str = Field(default="", validation_alias="AUTH_JWKS_URL")

    @property
    def keys_url(self) -> str:
        """Where the issuer's keys are, by default under its own well-known path."""
        return self.jwks_url or f"{self.issuer.rstrip('/')}/.well-known/jwks.json"
