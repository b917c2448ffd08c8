"""The building blocks of the network, one per module."""
