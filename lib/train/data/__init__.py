"""From videos to batches: ``sampler`` chooses frames, ``processing`` crops them, ``loader`` collects them in a
``batch``, and ``transforms`` augments and normalizes it on the device."""
