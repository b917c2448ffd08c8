"""The synthetic world: tracking videos made from a seed, to demonstrate, to test, and to train without real data.

    python tracking/make_synthetic.py --out data/synthetic          # files, in GOT-10k's layout
    videos = live_synthetic(count=1000, seed=0)                     # no files: rendered when read
    video = synthetic_video(seed=7, difficulty=0.5)              # one of them

**What a video shows.** A textured thing (a plain, decorated, jointed or wheeled body) moves over a textured world
with still things in it, seen by a camera that pans, follows, zooms, tilts and shakes. Textures are dead leaves, 1/f
noise, bent patterns and strokes; solids are shaded. The target turns, grows, stretches, wobbles; other things move
about, some of them look like it; things stand or pass in front of it; it may leave the image and come back. Light,
colour temperature, defocus, motion blur (each thing along its own velocity, the background along the camera's),
sensor noise and JPEG quality vary. Some videos are grey.

**Difficulty**, one number in [0, 1] a video, sets how much of each there is: at 0 one thing moves slowly over a faint,
out-of-focus ground of another colour, seen by a calm camera; at 1 there are clutter, up to three look-alikes, fast and
jumping motion, occlusion and excursions. It rises from the first video of a split to the last, so that a trainer can
begin with the easy ones (``DATA.CURRICULUM``).
The target is wholly visible in frame 0. Its √(w·h) starts between about 10 % and 45 % of the image's short side.

**Truth.** Boxes, visible share and attributes are measured on silhouettes (see ``annotate``), blur and soft edges
aside. ``cover.label`` is the visible share in eighths, rounded to the nearest, and 0 if and only if the target is
absent, that is less than 2 % visible.

**Sameness.** All draws of a video come from (seed, split, index) when it is planned; a frame's noise from that and
its number. So frames can be rendered in any order, and files do not depend on the number of workers. The same
arguments give the same bytes with the same versions of OpenCV and NumPy.

    textures  images to cut from              scene     one video's plan: who, where, when
    shapes    outlines and jointed bodies       world     render a frame
    paint     a thing drawn from a pose         annotate  boxes, visibility, attributes
    motion    curves, paths, the camera         spec      what a set on disk is made from
    look      light, lens, sensor               writer    GOT-10k's layout
    object_set  the same objects, arranged anew  live      Video and VideoSet without files
"""

from .annotate import ATTRIBUTES
from .live import SyntheticFrames, live_synthetic, synthetic_video

__all__ = ["ATTRIBUTES", "SyntheticFrames", "live_synthetic", "synthetic_video"]
