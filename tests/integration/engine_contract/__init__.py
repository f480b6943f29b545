"""One suite for the engines in memory, the embedded AWS and moto: what holds for one holds for all."""
