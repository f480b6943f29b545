"""The local stack: an embedded AWS, REST, the consumer and an issuer of tokens, all on loopback."""
