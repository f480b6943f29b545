import json

from local.resources import create_missing_queues, create_missing_tables
from local.stage import Stage, open_stage


def test_tables_are_on_demand_and_records_expire(stage: Stage) -> None:
    for name in stage.dynamodb.list_tables()["TableNames"]:
        table = stage.dynamodb.describe_table(TableName=name)["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = stage.dynamodb.describe_time_to_live(TableName=stage.tables.processed_events_table)
    assert ttl["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    assert ttl["TimeToLiveDescription"]["AttributeName"] == "ttl"


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
