"""Testing: the tracker, the benchmarks and their runner, the scores and their analysis."""
