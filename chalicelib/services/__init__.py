"""Use cases that take several steps; what takes one call of a store needs no service."""
