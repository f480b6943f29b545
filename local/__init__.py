"""The local stack: an embedded AWS, the REST API, the consumer and a token issuer, all on loopback."""
