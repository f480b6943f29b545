"""Loads the sample catalogue into a stage once, over the stage's REST API."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from local.client import Api
from local.stage import Stage

FILE: Final = Path(__file__).with_name("catalogue.csv")
_LOADED_TAG: Final = "sample-catalogue"


class CatalogueError(Exception):
    """The API rejected a part of the catalogue; the message quotes its response."""


def load_once(stage: Stage, api: Api) -> int:
    """Load the catalogue unless it was loaded into this stage before; return the number of products loaded.

    A tag of the product table says that it was loaded. The tag is stored and deleted with the data.
    """
    arn = stage.dynamodb.describe_table(TableName=stage.tables.product_table)["Table"]["TableArn"]
    if any(
        tag["Key"] == _LOADED_TAG for tag in stage.dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]
    ):
        return 0
    with FILE.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        _load(api, row)
    stage.dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": _LOADED_TAG, "Value": "loaded"}])
    return len(rows)


def _load(api: Api, row: dict[str, str]) -> None:
    # Each call is safe to repeat: an earlier run may have stopped in the middle of the catalogue.
    product = {name: row[name] for name in ("sku", "name", "description", "image_url") if row[name]}
    created = api.call("POST", "/products", {**product, "price": float(row["price"])})
    if created.status not in (201, 409):
        raise CatalogueError(f"{row['sku']}: {created.status} {created.body}")
    if not int(row["quantity"]):
        return
    received = api.call(
        "POST",
        f"/inventory/{row['sku']}/adjustments",
        {"delta": int(row["quantity"]), "reason": "RECEIVED", "reference": "sample catalogue"},
        Idempotency_Key=f"sample-catalogue-{row['sku']}",
    )
    if received.status != 200:
        raise CatalogueError(f"{row['sku']}: {received.status} {received.body}")
