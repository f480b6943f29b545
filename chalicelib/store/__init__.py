"""DynamoDB: the only place that knows how products, stock and reservations are stored."""
