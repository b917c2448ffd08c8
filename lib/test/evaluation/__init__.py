"""Benchmarks by name, running a tracker over them, and the files that come out."""
