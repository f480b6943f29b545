import json

import pytest

from tests.support import aws_calls
from tests.terraform.conftest import Resources

# As terraform/tests makes them up, by the names that the code's calls are recorded with.
ARNS = {
    "ProductTable": "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-ProductTable",
    "InventoryTable": "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-InventoryTable",
    "ProcessedEventsTable": "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-ProcessedEventsTable",
    "OMS-OrderEventsQueue": "arn:aws:sqs:eu-central-1:222222222222:OMS-OrderEventsQueue",
}
INVENTORY_QUEUE = "arn:aws:sqs:eu-central-1:111111111111:IMS-InventoryQueue"
OMS_KEY = "arn:aws:kms:eu-central-1:222222222222:key/11111111-2222-3333-4444-555555555555"
LOG_STREAMS = "arn:aws:logs:eu-central-1:111111111111:log-group:mock:*"

# What a role needs beside what its function's code calls: the runtime's logs and traces, …
BY_THE_RUNTIME = {
    ("logs:CreateLogStream", LOG_STREAMS),
    ("logs:PutLogEvents", LOG_STREAMS),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
}
# … and for the consumer what Lambda does to read the queue, and SQS to encrypt the answers.
BY_OTHERS = {
    "consumer": {
        ("sqs:ReceiveMessage", INVENTORY_QUEUE),
        ("sqs:DeleteMessage", INVENTORY_QUEUE),
        ("sqs:GetQueueAttributes", INVENTORY_QUEUE),
        ("kms:Decrypt", OMS_KEY),
        ("kms:GenerateDataKey", OMS_KEY),
    },
}


@pytest.mark.parametrize("function", ["api", "authorizer", "consumer"])
def test_each_function_may_do_what_its_code_does_and_nothing_else(planned: Resources, function: str) -> None:
    (policy,) = (
        json.loads(resource["values"]["policy"])
        for resource in planned
        if resource["address"] == f'aws_iam_role_policy.function["{function}"]'
    )
    allowed = [
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]
    called = {
        (action, ARNS[target])
        for action, target in (call.split(" ") for call in aws_calls.recorded()[function])
    }

    assert sorted(allowed) == sorted(called | BY_THE_RUNTIME | BY_OTHERS.get(function, set()))


def test_every_part_of_a_permission_is_one_that_is_compared(planned: Resources) -> None:
    policies = [r["values"]["policy"] for r in planned if r["type"] == "aws_iam_role_policy"]
    statements = [statement for policy in policies for statement in json.loads(policy)["Statement"]]

    assert len(policies) == 3
    assert all(set(statement) == {"Sid", "Effect", "Action", "Resource"} for statement in statements)
    assert {statement["Effect"] for statement in statements} == {"Allow"}
