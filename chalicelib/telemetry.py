"""The one logger and the one set of metrics: structured JSON and EMF, both on standard output.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from typing import Final

from aws_lambda_powertools import Logger, Metrics

NAMESPACE: Final = "IMS"

logger = Logger(service="ims")
metrics = Metrics(namespace=NAMESPACE, service="ims")
