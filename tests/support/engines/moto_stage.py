"""A stage on moto, in this process, for tests with one thread.

moto answers the clients' calls before they are sent. It answers only calls to AWS's own addresses, so a
client of the embedded AWS works beside it. Import this module before any client is built: boto3's session
installs moto's handler when it is created, and keeps it.
Source: https://docs.getmoto.org/en/latest/docs/getting_started.html
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from unittest.mock import patch

from moto import mock_aws

from local.stage import REGION, Stage, open_stage

_ADDRESSES: Final = {
    "AWS_ENDPOINT_URL_DYNAMODB": f"https://dynamodb.{REGION}.amazonaws.com",
    "AWS_ENDPOINT_URL_SQS": f"https://sqs.{REGION}.amazonaws.com",
}
_ACCOUNT: Final = "123456789012"  # moto keeps everything in this account


@contextmanager
def moto_stage() -> Iterator[Stage]:
    """Yield fresh tables and queues; moto forgets them at the end."""
    # The stage has its own credentials, and a new session would take most of the time.
    with mock_aws(config={"core": {"mock_credentials": False, "reset_boto3_session": False}}):
        with patch.dict(os.environ, _ADDRESSES):
            stage = open_stage(_ADDRESSES["AWS_ENDPOINT_URL_DYNAMODB"], _ACCOUNT)
        yield stage
        stage.dynamodb.close()
        stage.sqs.close()
