# A stage for experiments: it is easy to delete, and keeps logs and backups for a short time.
region      = "eu-central-1"
name_prefix = "IMS-dev"

oms_events_queue = { name = "OMS-dev-OrderEventsQueue" }

auth = {
  issuer   = "https://login.example.com/dev"
  audience = "ims-dev"
}

deletion_protection         = false
point_in_time_recovery_days = 1
log_level                   = "DEBUG"
log_retention_days          = 7
api_throttle                = { rate = 50, burst = 100 }
maximum_concurrency         = 2
