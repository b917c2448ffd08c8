"""MSTGT: single-object visual tracking with multi-scale spatio-temporal guidance.

    config    settings of an experiment, and where things lie on this machine
    geometry  boxes and the one crop that training and tracking share
    data      what a video is, who reads it from disk, and the synthetic world
    models    the network; knows nothing of files
    train     samples, losses, the loop
    test      the tracker, the benchmarks, the scores
    utils     errors, files, progress
"""
