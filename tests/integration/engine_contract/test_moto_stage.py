"""moto patches botocore for the whole process; these tests check that it affects only its own stage."""

from local.stage import Stage
from tests.support.engines.moto_stage import moto_stage


def items(stage: Stage) -> int:
    return stage.dynamodb.scan(TableName=stage.tables.inventory_table)["Count"]


def test_the_embedded_stage_works_beside_moto(stage: Stage) -> None:
    with moto_stage() as moto:
        stage.dynamodb.put_item(TableName=stage.tables.inventory_table, Item={"sku": {"S": "A"}})
        assert (items(stage), items(moto)) == (1, 0)
    assert items(stage) == 1


def test_each_stage_is_fresh() -> None:
    with moto_stage() as moto:
        moto.dynamodb.put_item(TableName=moto.tables.inventory_table, Item={"sku": {"S": "A"}})
        moto.sqs.send_message(QueueUrl=moto.inventory_queue_url, MessageBody="x")
    with moto_stage() as moto:
        assert items(moto) == 0
        assert "Messages" not in moto.sqs.receive_message(QueueUrl=moto.inventory_queue_url)
