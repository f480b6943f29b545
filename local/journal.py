"""The local stack's own log lines: JSON on standard output, like those of the application."""

from aws_lambda_powertools import Logger

journal = Logger(service="ims-local")
