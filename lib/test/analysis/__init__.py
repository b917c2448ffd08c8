"""From result files to figures: metrics, scores, tables and plots."""
