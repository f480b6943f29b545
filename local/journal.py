"""The local stack's own log lines: JSON on standard output, beside the application's."""

from aws_lambda_powertools import Logger

journal = Logger(service="ims-local")
