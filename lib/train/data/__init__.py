"""From videos to batches: ``sampler`` chooses frames, ``processing`` crops them, ``loader`` makes batches of them, and
``transforms`` finishes them on the device."""
