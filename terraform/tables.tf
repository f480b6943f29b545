locals {
  # Seconds for which a message can exist: in the queue, then in the dead-letter queue.
  message_lifetime_seconds = local.queue_retention_seconds + local.dlq_retention_seconds

  # The index of the records that the sweep has to settle at some time.
  holds_index     = "holds"
  holds_index_arn = "${aws_dynamodb_table.processed_events.arn}/index/${local.holds_index}"
}

resource "aws_dynamodb_table" "product" {
  name                        = "${var.name_prefix}-ProductTable"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "sku"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "sku"
    type = "S"
  }

  # This uses the AWS managed key (aws/dynamodb). Without this block, DynamoDB would use a key that AWS owns.
  server_side_encryption {
    enabled = true
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.point_in_time_recovery_days
  }
}

resource "aws_dynamodb_table" "inventory" {
  name                        = "${var.name_prefix}-InventoryTable"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "sku"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "sku"
    type = "S"
  }

  server_side_encryption {
    enabled = true
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.point_in_time_recovery_days
  }
}

resource "aws_dynamodb_table" "processed_events" {
  name                        = "${var.name_prefix}-ProcessedEventsTable"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "order_id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "order_id"
    type = "S"
  }

  attribute {
    name = "hold_shard"
    type = "S"
  }

  attribute {
    name = "due_at"
    type = "S"
  }

  # Only records that are due at some time have these two attributes, so no other is in the index. It takes the table's
  # billing on demand, encryption and recovery.
  #
  # Newer providers prefer key_schema, and warn. But version 6.8 does not have it, and later ones plan a change of it
  # each time: https://github.com/hashicorp/terraform-provider-aws/issues/46513
  global_secondary_index {
    name            = local.holds_index
    hash_key        = "hold_shard"
    range_key       = "due_at"
    projection_type = "KEYS_ONLY"
  }

  # Terraform waits until a new index is active, before it changes the functions, which read it. On a table in use,
  # DynamoDB first reads every record, for hours if there are very many.
  timeouts {
    update = "6h"
  }

  ttl {
    enabled        = true
    attribute_name = "ttl"
  }

  server_side_encryption {
    enabled = true
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.point_in_time_recovery_days
  }

  lifecycle {
    precondition {
      # The consumer refuses messages that are older than the TTL less a day.
      condition     = (var.record_ttl_days - 1) * 86400 > local.message_lifetime_seconds
      error_message = "record_ttl_days must exceed the time for which both queues keep a message (${local.message_lifetime_seconds / 86400} days) by more than a day: without its record, an order could be applied twice."
    }
  }
}

# The sweep reads the whole table, so nothing but what is owed may be in it.
resource "aws_dynamodb_table" "outbox" {
  name                        = "${var.name_prefix}-OutboxTable"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "id"
    type = "S"
  }

  server_side_encryption {
    enabled = true
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.point_in_time_recovery_days
  }
}
