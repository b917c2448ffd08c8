"""The building blocks of the network: attention, transformer blocks, convolutions."""
