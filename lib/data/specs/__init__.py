"""The lists that the readers need: official splits, and the frame ranges of OTB, UAV123 and NFS."""
