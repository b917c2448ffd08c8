"""Synthetic tracking videos, rendered from a seed: for demonstrations, tests, and training without real data.

    python tracking/make_synthetic.py --out data/synthetic       # files in GOT-10k's layout
    video = synthetic_video(seed=7, difficulty=0.5)              # no files: frames are rendered when they are read

**Content.** A textured object (a plain, decorated, jointed or wheeled body) moves over a textured background with
static objects on it. The camera pans, follows, zooms, tilts and shakes. Textures are dead leaves, 1/f noise, warped
patterns and strokes; solid objects are shaded. The target rotates, grows, stretches and deforms. Other objects move
as well, some of them look like the target, and some stand or pass in front of it. It may leave the image and return.
Light, color temperature, defocus, motion blur (of each object along its velocity, of the background along that of the
camera), sensor noise and JPEG quality vary. Some videos are gray.

**Difficulty.** One number in [0, 1] per video sets how much of each there is. At 0, one object moves slowly over a
faint, defocused background of another color, and the camera hardly moves. At 1 there are clutter, up to three
look-alikes, fast and jumping motion, occlusion, and times outside the image. The difficulty rises from the first video
of a split to the last, so that training can begin with the easy ones (``DATA.CURRICULUM``). The target is wholly
visible in frame 0; its √(w·h) starts between about 10 % and 45 % of the image's short side.

**Annotation.** Boxes, visible share and attributes are measured on silhouettes (:mod:`.annotate`), without blur and
soft edges. ``cover.label`` is the visible share in eighths, rounded to the nearest. It is 0 if and only if the target
is absent, which means that less than 2 % of it is visible.

**Reproducibility.** All random numbers of a video depend on (seed, split, index), and the noise of a frame on these and
its number. Frames can therefore be rendered in any order, and files do not depend on the number of workers. The same
arguments give the same bytes with the same versions of OpenCV and NumPy.

    textures    images that textures are cut from       scene     the plan of a video: objects and their poses
    shapes      outlines and jointed bodies             world     renders a frame
    paint       draws an object at a pose               annotate  boxes, visibility, attributes
    motion      curves, paths, the camera               set_spec  what determines a set on disk
    look        light, lens, sensor                     writer    files in GOT-10k's layout
    object_set  the same objects, arranged differently  live      a Video without files
"""

from .annotate import ATTRIBUTES
from .live import synthetic_video

__all__ = ["ATTRIBUTES", "synthetic_video"]
