"""The one logger and the one set of metrics: structured JSON and EMF, both on standard output.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import os
from typing import Final

from aws_lambda_powertools import Logger, Metrics

from chalicelib import __version__

NAMESPACE: Final = "IMS"

SERVICE: Final = os.environ.get("POWERTOOLS_SERVICE_NAME", "ims")
"""One name for each stage, so that two stages in one account keep their metrics apart."""

logger = Logger(service=SERVICE, version=__version__)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
