"""The composition root: each client, store and service is built once per process, when first asked for.

Nothing is built at import, so a function pays at cold start only for what it uses.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chalicelib import __version__
from chalicelib.settings import AuthSettings, QueueSettings, TableSettings

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from botocore.config import Config
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient

    from chalicelib.auth.verifier import Verifier
    from chalicelib.consumer.consumer import Consumer
    from chalicelib.consumer.delivery import Publisher
    from chalicelib.consumer.holds import HoldSweep
    from chalicelib.consumer.sweep import Sweep
    from chalicelib.services.orders import Orders
    from chalicelib.services.stock_changes import StockChanges
    from chalicelib.store.order_store import OrderStore
    from chalicelib.store.outbox_store import OutboxStore
    from chalicelib.store.product_store import ProductStore
    from chalicelib.store.stock_store import StockStore


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
def products() -> ProductStore:
    """Products, with the creation and deletion of their stock."""
    from chalicelib.store.product_store import ProductStore

    return ProductStore(dynamodb(), tables())


@cache
def stock() -> StockStore:
    """Stock levels."""
    from chalicelib.store.stock_store import StockStore

    return StockStore(dynamodb(), tables())


@cache
def stock_changes() -> StockChanges:
    """Changes of stock over REST."""
    from chalicelib.services.stock_changes import StockChanges

    return StockChanges(stock())


@cache
def order_store() -> OrderStore:
    """Orders' reservations, with the stock that they take."""
    from chalicelib.store.order_store import OrderStore

    return OrderStore(dynamodb(), tables())


@cache
def orders() -> Orders:
    """Orders over REST."""
    from chalicelib.services.orders import Orders

    return Orders(order_store(), tables().aging)


@cache
def outbox() -> OutboxStore:
    """The answers that are owed to the OMS."""
    from chalicelib.store.outbox_store import OutboxStore

    return OutboxStore(dynamodb(), tables())


@cache
def publisher() -> Publisher:
    """The sender of answers."""
    from chalicelib.consumer.delivery import Publisher

    return Publisher(sqs(), queues().oms_events_queue_url)


@cache
def senders() -> Executor:
    """The threads that send answers."""
    from concurrent.futures import ThreadPoolExecutor

    from chalicelib.consumer.delivery import THREADS

    return ThreadPoolExecutor(THREADS, "deliver")


@cache
def consumer() -> Consumer:
    """The consumer of the inventory queue."""
    from chalicelib.consumer.consumer import Consumer

    return Consumer(
        order_store(),
        outbox(),
        publisher(),
        tables().record_ttl_days,
        senders(),
        aging=tables().aging,
    )


@cache
def sweep() -> Sweep:
    """The sweep of the outbox."""
    from chalicelib.consumer.sweep import Sweep

    return Sweep(order_store(), outbox(), publisher(), senders())


@cache
def hold_sweep() -> HoldSweep:
    """The sweep of the holds."""
    from chalicelib.consumer.holds import HoldSweep

    return HoldSweep(order_store(), outbox(), publisher(), senders())


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

    # Short time-outs: both services answer within milliseconds, and a call that hangs must not use up the
    # function's time. Retries of our own come on top of these.
    return Config(
        connect_timeout=1,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=16,
        # botocore builds its own User-Agent twice a call, which takes a tenth of the call's time.
        user_agent=f"ims/{__version__}",
        # The code builds requests from fields that have been checked, and the tests check every request by
        # botocore's rules. Doing so at each call takes a third of what a large transaction costs us.
        parameter_validation=False,
    )
