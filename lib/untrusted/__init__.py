"""Checks of files that may come from anybody. SECURITY.md says which files are trusted.

    limits   how large a file may be, and what may name a file, a video, a class, a results folder
    arrays   .npz files without pickles
    xml      XML without document types and entities

Images are checked where they are decoded (``mstgt.data.images``), checkpoints where they are loaded
(``mstgt.models.mstgt.checkpoint``), YAML where it is parsed (``mstgt.config.load``): these checks are part of how
the format is read.
"""
