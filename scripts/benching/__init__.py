"""What the benchmarks share: stores and processes, rows and tables, rounds that go on where they were cut off."""
