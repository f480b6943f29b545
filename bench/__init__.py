"""Proof of the speed that the README claims: `make bench`."""
