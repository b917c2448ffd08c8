"""Tracking a video that a person brings: the parts of ``tracking/video_demo.py`` and ``tracking/web_demo.py``.

    with open_source("holiday.mp4") as source:
        for seen in track(source, load_tracker("MSTGT-nano-128"), (210, 95, 60, 80)):
            picture = annotate(seen.image_rgb, seen.box_xywh, seen.score, seen.search_xywh, seen.lost)

``source``  a video file, pictures, a webcam         ``draw``    boxes on a picture, sheets of pictures
``track``   boxes, scores, whether it is lost        ``film``    an MP4 that browsers play
``rows``    the CSV, from which a track is taken up  ``record``  film, rows and sheet of a track, all or none
``window``  the screen, where there is one
"""
