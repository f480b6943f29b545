import json

from local.resources import HOLDS, create_missing_queues, create_missing_tables
from local.stage import Stage, open_stage


def test_tables_are_on_demand_and_records_expire(stage: Stage) -> None:
    for name in stage.dynamodb.list_tables()["TableNames"]:
        table = stage.dynamodb.describe_table(TableName=name)["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = stage.dynamodb.describe_time_to_live(TableName=stage.tables.processed_events_table)
    assert ttl["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    assert ttl["TimeToLiveDescription"]["AttributeName"] == "ttl"


def test_due_records_are_found_by_the_index_and_the_others_are_not_in_it(stage: Stage) -> None:
    table = stage.tables.processed_events_table

    def put(order_id: str, **attributes: str) -> None:
        item = {name: {"S": value} for name, value in attributes.items()}
        stage.dynamodb.put_item(TableName=table, Item={"order_id": {"S": order_id}, **item})

    for order_id, due_at in (("late", "10:00"), ("later", "09:00"), ("not-yet", "11:00"), ("firm", "08:00")):
        put(order_id, hold_shard="3", due_at=f"2026-11-22T{due_at}:00.000Z", outcome="RESERVED")
    put("elsewhere", hold_shard="4", due_at="2026-11-22T09:00:00.000Z")
    put("firm", outcome="RESERVED")

    found = stage.dynamodb.query(
        TableName=table,
        IndexName="holds",
        KeyConditionExpression="hold_shard = :shard AND due_at <= :now",
        ExpressionAttributeValues={":shard": {"S": "3"}, ":now": {"S": "2026-11-22T10:00:00.000Z"}},
    )

    assert [item["order_id"]["S"] for item in found["Items"]] == ["later", "late"]
    assert {frozenset(item) for item in found["Items"]} == {frozenset({"order_id", "hold_shard", "due_at"})}


def test_a_table_of_an_earlier_version_gets_its_index_and_keeps_its_data(stage: Stage) -> None:
    table = stage.tables.processed_events_table
    stage.dynamodb.update_table(
        TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "holds"}}]
    )
    stage.dynamodb.put_item(TableName=table, Item={"order_id": {"S": "old"}})

    create_missing_tables(stage.dynamodb, stage.tables)

    described = stage.dynamodb.describe_table(TableName=table)["Table"]
    assert [index["IndexName"] for index in described["GlobalSecondaryIndexes"]] == [HOLDS["IndexName"]]
    assert stage.dynamodb.scan(TableName=table)["Count"] == 1


def test_inventory_queue_redrives_to_its_dead_letter_queue(stage: Stage) -> None:
    attributes = stage.sqs.get_queue_attributes(QueueUrl=stage.inventory_queue_url, AttributeNames=["All"])
    redrive = json.loads(attributes["Attributes"]["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":IMS-InventoryDLQ")
    assert redrive["maxReceiveCount"] == 3
    assert attributes["Attributes"]["VisibilityTimeout"] == "2"


def test_creating_existing_resources_keeps_data_and_updates_attributes(stage: Stage) -> None:
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item={"sku": {"S": "A"}})
    stage.sqs.send_message(QueueUrl=stage.inventory_queue_url, MessageBody="kept")

    create_missing_tables(stage.dynamodb, stage.tables)
    queues = create_missing_queues(stage.sqs, visibility_seconds=9, max_receive_count=4)

    assert queues.inventory == stage.inventory_queue_url
    assert stage.dynamodb.scan(TableName=stage.tables.inventory_table)["Count"] == 1
    assert stage.sqs.receive_message(QueueUrl=queues.inventory)["Messages"][0]["Body"] == "kept"
    attributes = stage.sqs.get_queue_attributes(QueueUrl=queues.inventory, AttributeNames=["All"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "9"


def test_stages_do_not_share_data(stage: Stage, emulator: str) -> None:
    stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item={"sku": {"S": "A"}})
    other = open_stage(emulator, "100000000001")
    assert other.dynamodb.scan(TableName=other.tables.inventory_table)["Count"] == 0
