"""An actor takes a batch through the network to its losses; the trainer knows nothing of either."""
