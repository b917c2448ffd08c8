"""From result files to scores: metrics, means over videos, tables, comparisons."""
