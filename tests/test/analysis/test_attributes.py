"""Attributes: the dataset's own where there are any, else measured ones."""

import numpy as np

from lib.test.analysis.attributes import measured_attributes, with_attributes
from tests.test.analysis.helpers import NAN, sequence

BIG = [100.0, 100.0, 50.0, 50.0]


def test_nothing_happens_in_a_calm_video():
    assert measured_attributes(sequence([BIG, [104, 100, 50, 50], BIG])) == ()


def test_each_attribute_is_measured_by_its_threshold():
    cases = {"absent_frames": [BIG, NAN, BIG], "scale_change": [BIG, [100, 100, 36, 36.0], [95, 95, 34, 34.0]],
             "aspect_change": [BIG, [95, 105, 76, 37.0]], "fast_motion": [BIG, [151, 100, 50, 50.0]],
             "low_resolution": [[0, 0, 33, 33.0], [0, 0, 31, 31.0]]}
    for name, boxes in cases.items():
        assert measured_attributes(sequence(boxes)) == (name,)


def test_a_jump_while_the_target_is_away_is_no_motion():
    assert measured_attributes(sequence([BIG, NAN, [400, 100, 50, 50]])) == ("absent_frames",)


def test_frames_without_annotation_say_nothing():
    video = sequence([BIG, BIG, NAN], annotated=2)
    assert measured_attributes(video) == ()
    assert measured_attributes(sequence([NAN])) == ("absent_frames",)


def test_the_datasets_own_attributes_come_first():
    own, bare = sequence([BIG], "own", attributes=("rain",)), sequence([BIG, NAN], "bare")
    found, measured = with_attributes({"own": own, "bare": bare})
    assert not measured and found["own"].attributes == ("rain",) and found["bare"].attributes == ()
    found, measured = with_attributes({"bare": bare})
    assert measured and found["bare"].attributes == ("absent_frames",)
    np.testing.assert_array_equal(found["bare"].boxes_xywh, bare.boxes_xywh)
