"""A throw-away MySQL on loopback, or a replication group: for `scripts/mysql`, tests and benchmarks."""
