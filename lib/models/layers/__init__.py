"""The building blocks of the network, one a module."""
