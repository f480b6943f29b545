"""Moves units between available and reserved, as the consumer does when it reserves and releases."""

from local.stage import Stage


def reserve(stage: Stage, sku: str, units: int) -> bool:
    """Reserve `units` of `sku` (release them if negative), if they are there; returns whether they were."""
    try:
        stage.dynamodb.update_item(
            TableName=stage.tables.inventory_table,
            Key={"sku": {"S": sku}},
            UpdateExpression="SET quantity = quantity - :units ADD reserved :units, version :one",
            ConditionExpression="quantity >= :units",
            ExpressionAttributeValues={":units": {"N": str(units)}, ":one": {"N": "1"}},
        )
    except stage.dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True
