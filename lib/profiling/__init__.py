"""What a frame costs: parameters, FLOPs, time."""
