"""One suite for the engines in memory, the embedded AWS and moto: all must behave the same."""
