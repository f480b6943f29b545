"""Helpers for tests of more than one kind; `tests/README.md` says what each is for."""
