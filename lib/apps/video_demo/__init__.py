"""Track a user's own video: the parts of ``tracking/video_demo.py`` and ``tracking/web_demo.py``.

    with open_source("holiday.mp4") as source:
        for frame in track(source, MultiTracker("MSTGT-nano"), {1: {0: (210, 95, 60, 80)}}):
            image = drawn(frame)

``source``   video files, folders of images, network streams, webcams: all give frames with their times
``boxes``    boxes as people write them               ``track``    several targets, forwards and backwards
``results``  CSV, MOTChallenge text and JSON          ``record``   video, results and contact sheet of a track
``window``   a window, where there is a display
"""
