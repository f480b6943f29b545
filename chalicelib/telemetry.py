"""The one logger and the one set of metrics: structured JSON and EMF, both on standard output.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from aws_lambda_powertools import Logger, Metrics

logger = Logger(service="ims")
metrics = Metrics(namespace="IMS", service="ims")
