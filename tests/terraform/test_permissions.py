import json
from typing import Any

from tests.support import aws_calls
from tests.terraform.conftest import Resources

# As terraform/tests makes them up, by the names that the code's calls are recorded with.
ARNS = {
    "ProductTable": "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-ProductTable",
    "InventoryTable": "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-InventoryTable",
    "ProcessedEventsTable": "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-ProcessedEventsTable",
    "ProcessedEventsTable/index/holds": (
        "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-ProcessedEventsTable/index/holds"
    ),
    "OutboxTable": "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-OutboxTable",
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
# … what SQS does to encrypt the answers, and Lambda to read the queue for the consumer.
ENCRYPTION = {("kms:Decrypt", OMS_KEY), ("kms:GenerateDataKey", OMS_KEY)}
BY_OTHERS = {
    "consumer": {
        ("sqs:ReceiveMessage", INVENTORY_QUEUE),
        ("sqs:DeleteMessage", INVENTORY_QUEUE),
        ("sqs:GetQueueAttributes", INVENTORY_QUEUE),
        *ENCRYPTION,
    },
    "sweep": ENCRYPTION,
}


def policies(planned: Resources) -> dict[str, Any]:
    """The policy of each function by the function's key."""
    return {
        resource["index"]: json.loads(resource["values"]["policy"])
        for resource in planned
        if (resource["type"], resource["name"]) == ("aws_iam_role_policy", "function")
    }


def test_each_function_may_do_what_its_code_does_and_nothing_else(planned: Resources) -> None:
    recorded = aws_calls.recorded()
    assert set(recorded) <= set(policies(planned))
    for function, policy in policies(planned).items():
        allowed = [
            (action, resource)
            for statement in policy["Statement"]
            for action in statement["Action"]
            for resource in statement["Resource"]
        ]
        called = {
            (action, ARNS[target])
            for action, target in (call.split(" ") for call in recorded.get(function, ()))
        }

        expected = called | BY_THE_RUNTIME | BY_OTHERS.get(function, set())
        assert sorted(allowed) == sorted(expected), function


def test_every_part_of_a_permission_is_one_that_is_compared(planned: Resources) -> None:
    statements = [statement for policy in policies(planned).values() for statement in policy["Statement"]]

    assert all(set(statement) == {"Sid", "Effect", "Action", "Resource"} for statement in statements)
    assert {statement["Effect"] for statement in statements} == {"Allow"}
