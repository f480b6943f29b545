# The OMS is in another account, and its queue has a KMS key.
region      = "eu-central-1"
name_prefix = "IMS"

oms_events_queue = {
  arn         = "arn:aws:sqs:eu-central-1:222222222222:OMS-OrderEventsQueue"
  url         = "https://sqs.eu-central-1.amazonaws.com/222222222222/OMS-OrderEventsQueue"
  kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/11111111-2222-3333-4444-555555555555"
}
oms_sender_arns = ["arn:aws:iam::222222222222:role/oms-order-service"]

auth = {
  issuer   = "https://login.example.com"
  audience = "ims"
}

log_retention_days  = 365
maximum_concurrency = 10
alarm_topic_arn     = "arn:aws:sns:eu-central-1:111111111111:on-call"
tags                = { CostCenter = "orders" }
