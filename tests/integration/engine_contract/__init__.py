"""One suite for the in-memory engines and for the embedded AWS: what holds for one holds for the other."""
