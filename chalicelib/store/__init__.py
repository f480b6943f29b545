"""DynamoDB: the only place that knows how products, stock and records are stored."""
