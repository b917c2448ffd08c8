"""Training: samples from videos, losses, and the loop. See ``trainers.trainer`` for the loop itself."""
