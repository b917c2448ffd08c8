"""Attributes: the dataset's own where there are any, else measured ones."""

import numpy as np
import pytest

from mstgt.test.analysis.attributes import measured_attributes, read_attributes, with_attributes
from mstgt.utils.errors import UserError
from tests.test.analysis.helpers import NAN, sequence

BIG = [100.0, 100.0, 50.0, 50.0]


def test_a_calm_video_has_no_attributes():
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


def test_a_given_table_overrides_the_datasets_attributes(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("video, rain, fast motion\r\none,0,1\n\ntwo, 1, 1\nother,0,0\n")
    table = read_attributes(path)
    assert table == {"one": ("fast motion",), "two": ("rain", "fast motion"), "other": ()}
    videos = {name: sequence([BIG], name, attributes=("snow",)) for name in ("one", "two")}
    found, measured = with_attributes(videos, table)
    assert not measured and found["two"].attributes == ("rain", "fast motion")
    with pytest.raises(UserError, match="lacks 1 of 3 videos, such as three"):
        with_attributes(videos | {"three": sequence([BIG], "three")}, table)


@pytest.mark.parametrize(("text", "line"), [
    ("", 1), ("one,0,1\n", 1), ("video\none\n", 1), ("video,rain\none,2\n", 2), ("video,rain\none,1\none,0\n", 3),
    ("video,rain\none,1,1\n", 2)])
def test_a_malformed_table_is_refused_with_its_line(tmp_path, text, line):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=f"table.csv, line {line}: expected"):
        read_attributes(path)
