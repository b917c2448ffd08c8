"""Actors run a network on a batch and return the losses, so that the trainer depends on neither of them."""
