"""The composition root: each client and repository is built once per process, when first asked for.

Nothing is built at import, so a function pays at cold start only for what it uses.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.settings import AuthSettings, QueueSettings, TableSettings

if TYPE_CHECKING:
    from botocore.config import Config
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient

    from chalicelib.auth.verifier import Verifier
    from chalicelib.consumer.consumer import Consumer
    from chalicelib.store.adjustments import Adjustments
    from chalicelib.store.inventory import Inventory
    from chalicelib.store.products import Products
    from chalicelib.store.records import OrderRecords


@cache
def dynamodb() -> DynamoDBClient:
    """The DynamoDB client; region, credentials and endpoint come from the environment."""
    import boto3

    return boto3.client("dynamodb", config=_config())


@cache
def sqs() -> SQSClient:
    """The SQS client."""
    import boto3

    return boto3.client("sqs", config=_config())


@cache
def tables() -> TableSettings:
    """Names of the tables."""
    return TableSettings.load()


@cache
def queues() -> QueueSettings:
    """URLs of the queues."""
    return QueueSettings.load()


@cache
def auth() -> AuthSettings:
    """Issuer, audience and key set of the tokens."""
    return AuthSettings.load()


@cache
def products() -> Products:
    """Products, with their stock's beginning and end."""
    from chalicelib.store.products import Products

    return Products(dynamodb(), tables())


@cache
def inventory() -> Inventory:
    """Stock levels, for reading."""
    from chalicelib.store.inventory import Inventory

    return Inventory(dynamodb(), tables())


@cache
def adjustments() -> Adjustments:
    """Changes of stock over REST."""
    from chalicelib.store.adjustments import Adjustments

    return Adjustments(dynamodb(), tables())


@cache
def order_records() -> OrderRecords:
    """Orders' records, for reading."""
    from chalicelib.store.records import OrderRecords

    return OrderRecords(dynamodb(), tables())


@cache
def consumer() -> Consumer:
    """The consumer of the inventory queue, with threads of its own for its answers."""
    from concurrent.futures import ThreadPoolExecutor

    from chalicelib.consumer.consumer import Consumer
    from chalicelib.consumer.outbox import THREADS
    from chalicelib.consumer.publisher import Publisher
    from chalicelib.store.transactions import OrderStore

    store = OrderStore(dynamodb(), tables())
    publisher = Publisher(sqs(), queues().oms_events_queue_url)
    return Consumer(store, publisher, tables().record_ttl_days, ThreadPoolExecutor(THREADS, "deliver"))


@cache
def verifier() -> Verifier:
    """The check of bearer tokens, with its cache of the issuer's keys."""
    from chalicelib.auth.download import download
    from chalicelib.auth.keys import KeySet
    from chalicelib.auth.verifier import Verifier

    settings = auth()
    return Verifier(settings, KeySet(lambda: download(settings.keys_url)))


def _config() -> Config:
    from botocore.config import Config

    # Short time-outs: both services answer within milliseconds, and a hung call must not eat the
    # function's time. The consumer's own retries come on top of these.
    return Config(
        connect_timeout=1,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=16,
        # Requests are built here from fields that have been checked, and the tests check every one by
        # botocore's rules; doing so at each call takes a third of what a large transaction costs us.
        parameter_validation=False,
    )
