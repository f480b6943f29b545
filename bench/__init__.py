"""The benchmarks behind the numbers in docs/performance.md: `make bench` runs them."""
