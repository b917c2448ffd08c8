"""Still sets: a few objects arranged differently in every image, without motion from one image to the next.

    python tracking/make_synthetic.py --style still_sets --frames 4 --size 160x160 ...

An object set is a target and three to ten other objects of its size. Every image shows all of them in other places,
poses and light, on another part of the ground. Only its appearance tells which of them is the target: neither
saliency, nor the position in the image, nor motion does. A matcher has to learn this first.

Objects keep their upright shape from image to image, as most objects of real video do. Shapes vary widely: in four
sets of ten most objects stand, two to four times as high as wide, as people do in the street. Three objects of ten
consist of bands of different textures, so that one surface alone does not identify the object.

**Difficulty**, in [0, 1], rises over the set. At 0 the objects are nearly plain, of clearly different colors, and do
not change, on a faint ground. At 1 they are textured, some look like the target, they turn, stretch and bend, hide each
other, and the ground is full of still objects; light, blur, noise and JPEG change from image to image.

Below ``BLOCKS`` the objects are squares of one size with blurred colors of their own: from these, attention learns
within minutes to compare the search region with the template. Without them this does not start.

Everything is a function of the seed and the key of the object set. Objects and grounds come from a stock that each
process makes once per dataset and split.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from .annotate import Annotation, silhouette_extent
from .look import Look, make_look
from .paint import SPRITE, Patch, Pose, Sprite, Thing, Wobble, compose, lookalike, make_thing, recolored
from .scene import make_canvas
from .shapes import BODIES, BODY_SHARES, Part
from .textures import POOL_SIZE, TexturePool, recolor_matrix, texture_pool

THINGS, GROUNDS, POOLS = 600, 80, 8
MIN_SHARE = 0.35  # of the target that must be seen where it does not count as absent
BLOCKS = 0.05  # below this difficulty things are blurred squares
SHARES = {name: 0.7 * share for name, share in BODY_SHARES.items()} | {"banded": 0.3}  # of bodies in a stock
FASTEST = 16  # px of motion blur
LIGHT_STEP = 25  # frames of a look's curves from image to image

Rng = np.random.Generator


@dataclass(frozen=True)
class Stock:
    """The objects and grounds that the object sets of a split are drawn from."""

    things: list[tuple[str, Thing]]
    grounds: list[np.ndarray]
    noise: np.ndarray


@functools.lru_cache(maxsize=2)
def stock(pool_key: tuple[int, ...], size_wh: tuple[int, int]) -> Stock:
    """The stock of ``pool_key``: the same in every process."""
    rng = np.random.default_rng([*pool_key, *size_wh])
    pools = [texture_pool((*pool_key, number)) for number in range(POOLS)]
    names, shares = list(SHARES), list(SHARES.values())
    things = []
    for number in range(THINGS):
        body = str(rng.choice(names, p=shares))
        things.append((body, make_thing(rng, pools[number % POOLS], BODIES[body](rng))))
    grounds = [_ground(rng, pools[number % POOLS], size_wh) for number in range(GROUNDS)]
    return Stock(things, grounds, pools[0].sensor_noise)


def _ground(rng: Rng, pool: TexturePool, size_wh: tuple[int, int]) -> np.ndarray:
    clutter = (0, 40) if rng.random() < 0.6 else (0, 1)
    ground = make_canvas(rng, pool, size_wh, 1.0, int(rng.integers(POOL_SIZE)), np.zeros(3), clutter)
    return cv2.GaussianBlur(ground, (0, 0), float(rng.uniform(1, 4))) if rng.random() < 0.3 else ground


@dataclass(frozen=True)
class ImagePlan:
    """One image: which part of the ground it shows, where the things are, the time at which bodies are seen, and the
    JPEG quality that it has been through (100: none)."""

    ground: np.ndarray
    poses: tuple[Pose, ...]
    moment: float = 0.0
    quality: int = 100


@dataclass(frozen=True)
class ObjectSet:
    """A plan: things (the target first), their order from back to front, images, light.

    Has the attributes of a :class:`mstgt.synthetic.world.World` that the writer reads."""

    size_wh: tuple[int, int]
    things: tuple[Thing, ...]
    object_class: str
    ground: np.ndarray
    images: tuple[ImagePlan, ...]
    order: tuple[int, ...]
    look: Look
    noise: np.ndarray
    motion_class = "cast"  # as in meta_info.ini of every set written so far: the bytes of a set must not change

    @property
    def frames(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def jpeg_quality(self) -> int:
        """Of the images' files."""
        return self.look.jpeg_quality

    def render(self, index: int) -> np.ndarray:
        """Image ``index`` as (H, W, 3) uint8 RGB."""
        plan = self.images[index]
        image = cv2.warpAffine(self.ground, plan.ground, self.size_wh, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REFLECT_101)
        for who in self.order:
            patch = self.things[who].draw(plan.poses[who], plan.moment, self.size_wh)
            if patch is not None:
                compose(image, patch)
        image = self.look.apply(image, index * LIGHT_STEP, self.noise)
        if plan.quality < 95:
            code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, plan.quality])[1]
            decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
            assert decoded is not None  # it was encoded in the line above
            return decoded
        return image

    @functools.cached_property
    def annotation(self) -> Annotation:
        """Boxes and visible shares from the silhouettes; a target seen less than ``MIN_SHARE`` counts as absent."""
        boxes, shares = np.zeros((self.frames, 4)), np.zeros(self.frames)
        cut = np.zeros(self.frames, bool)
        for index, plan in enumerate(self.images):
            patch = self.things[0].silhouette(plan.poses[0], plan.moment)
            whole = np.zeros(self.size_wh[::-1], np.uint8)
            _stamp(whole, patch, 1)
            boxes[index] = silhouette_extent(whole > 0)
            total = int((patch.alpha > 127).sum())
            cut[index] = int(whole.sum()) < total
            for who in self.order[self.order.index(0) + 1:]:
                other = self.things[who].silhouette_near(plan.poses[who], plan.moment, self.size_wh)
                if other is not None:
                    _stamp(whole, other, 0)
            shares[index] = int(whole.sum()) / total if total else 0.0
        return Annotation(boxes, shares, shares < MIN_SHARE, cut, ())


def _stamp(mask: np.ndarray, patch: Patch, value: int) -> None:
    """Set the pixels of ``mask`` that ``patch`` covers to ``value``."""
    h, w = patch.alpha.shape
    x0, y0 = max(patch.x0, 0), max(patch.y0, 0)
    x1, y1 = min(patch.x0 + w, mask.shape[1]), min(patch.y0 + h, mask.shape[0])
    if x1 > x0 and y1 > y0:
        mask[y0:y1, x0:x1][patch.alpha[y0 - patch.y0:y1 - patch.y0, x0 - patch.x0:x1 - patch.x0] > 127] = value


def _in_new_colors(rng: Rng, things: list[Thing], difficulty: float) -> list[Thing]:
    """The things in new colors: nearly plain and clearly different in easy sets."""
    plain = 0.85 * max(0.0, 1 - 1.6 * difficulty) if rng.random() < 0.8 else 0.0
    result = []
    for thing in things:
        matrix = recolor_matrix(rng, 1.0)
        if plain:
            color = rng.uniform(20, 235, 3)
            mean = matrix[:, :3] @ np.full(3, 118.0) + matrix[:, 3]
            matrix = np.hstack([(1 - plain) * matrix[:, :3],
                                ((1 - plain) * matrix[:, 3] + plain * (0.5 * mean + 0.5 * color)
                                 + 0.5 * plain * (color - mean))[:, None]])
        result.append(recolored(thing, matrix))
    return result


def _places(rng: Rng, sizes: np.ndarray, size_wh: tuple[int, int], closeness: float) -> np.ndarray:
    """(K, 2) places in the image that keep apart by ``closeness`` of their mean sizes where that is possible.

    The first is mostly in the middle half."""
    places = np.zeros((len(sizes), 2))
    for k, size in enumerate(sizes):
        margin = 0.6 * size if k or rng.random() < 0.2 else max(0.6 * size, 0.27 * min(size_wh))
        margin = min(margin, 0.45 * min(size_wh))
        tries = rng.uniform(margin, np.array(size_wh) - margin, (12, 2))
        if k:
            gaps = np.hypot(*(tries[:, None] - places[None, :k]).transpose(2, 0, 1))
            room = (gaps / (closeness * (size + sizes[:k]) / 2)).min(1)
            fit = np.flatnonzero(room >= 1)
            places[k] = tries[fit[0] if len(fit) else int(room.argmax())]
        else:
            places[k] = tries[0]
    return places


def make_object_set(seed_key: tuple[int, ...], frames: int, size_wh: tuple[int, int], difficulty: float,
              pool_key: tuple[int, ...]) -> ObjectSet:
    """The object set of ``seed_key``, with ``frames`` images, from the stock of ``pool_key``."""
    rng = np.random.default_rng(seed_key)
    store = stock(pool_key, size_wh)
    if difficulty < BLOCKS:
        return _blocks(rng, seed_key, frames, size_wh, store)
    short = min(size_wh)
    count = int(rng.integers(4, 11))
    street = rng.random() < 0.4
    chosen = [store.things[i] for i in _choose(rng, store, count, street)]
    things = _in_new_colors(rng, [thing for _, thing in chosen], difficulty)
    for k in range(1, count):
        if rng.random() < 0.3 * difficulty:
            things[k] = lookalike(rng, things[0], rng.uniform(0.25, 1.0))
    size = float(short * np.exp(rng.uniform(np.log(0.14), np.log(0.34))))
    sizes = np.concatenate([[size], size * np.exp(rng.normal(0, 0.3, count - 1))])
    rest = [Pose(0, 0, own, *_stance(rng, name, street)) for own, (name, _) in zip(sizes, chosen, strict=True)]
    free = 1.0 if rng.random() < 0.25 else 0.3  # of things that stand, most only sway
    contrast = 1.0 if rng.random() < 0.2 else 0.25 + 0.75 * min(1.0, 1.5 * difficulty)
    view = View(np.exp(rng.uniform(-0.5, 0.3)), rng.uniform(0, 6.28), rng.uniform(0.3, 0.7, 2))
    images = []
    for _ in range(frames):
        poses = _poses(rng, rest, size_wh, difficulty, free)
        view = view.moved(rng, difficulty)
        quality = int(rng.integers(30, 95)) if rng.random() < 0.5 * difficulty else 100
        images.append(ImagePlan(view.matrix(size_wh), poses, float(rng.uniform(0, 60 * difficulty)), quality))
    order = rng.permutation(count)
    if rng.random() > 0.5 * difficulty:  # nothing hides the target
        order = np.concatenate([order[order != 0], [0]])
    if rng.random() < 0.5 * difficulty:
        waves = rng.integers(1, 5, 3)
        things = [_bent(thing, rng, waves) for thing in things]
    ground = _faded(rng, store.grounds[int(rng.integers(GROUNDS))], contrast)
    look = make_look(rng, frames * LIGHT_STEP, difficulty, short / 240, seed_key)
    return ObjectSet(size_wh, tuple(things), chosen[0][0], ground, tuple(images), tuple(order.tolist()), look,
                store.noise)


@dataclass(frozen=True)
class View:
    """Which part of the ground is seen: zoom, turn (radians), middle as a share of the ground."""

    zoom: float
    turn: float
    spot: np.ndarray

    def moved(self, rng: Rng, difficulty: float) -> View:
        """A little, or now and then elsewhere."""
        spot = rng.uniform(0.25, 0.75, 2) if rng.random() < 0.15 else self.spot
        spot = np.clip(spot + rng.normal(0, 0.08, 2), 0.2, 0.8)
        return View(self.zoom, self.turn + rng.normal(0, 0.1 * difficulty), spot)

    def matrix(self, size_wh: tuple[int, int]) -> np.ndarray:
        """(2, 3) map from the ground, which is twice the image's size, to the image."""
        cos, sin = np.cos(self.turn) * self.zoom, np.sin(self.turn) * self.zoom
        linear = np.array([[cos, -sin], [sin, cos]])
        size = np.array(size_wh)
        return np.hstack([linear, (size / 2 - linear @ (self.spot * 2 * size))[:, None]])


def _choose(rng: Rng, store: Stock, count: int, street: bool) -> list[int]:
    """The numbers of ``count`` things of the stock: in a street every other one is a walker."""
    numbers = rng.integers(THINGS, size=count)
    if street:
        walkers = [number for number, (name, _) in enumerate(store.things) if name == "walker"] or numbers
        numbers = np.where(rng.random(count) < 0.5, rng.choice(walkers, count), numbers)
    return numbers.tolist()


def _stance(rng: Rng, name: str, street: bool) -> tuple[float, float]:
    """log2 aspect and turn in which a thing rests."""
    if name == "walker" or (street and rng.random() < 0.5):
        return rng.normal(-0.6, 0.4), rng.normal(0, 0.08)
    return rng.normal(0, 0.6), rng.normal(0, 0.3)


def _poses(rng: Rng, rest: list[Pose], size_wh: tuple[int, int], difficulty: float, free: float) -> tuple[Pose, ...]:
    """Everybody in a new place, differing more from ``rest`` the harder the set is. ``free``: share of the turning."""
    count = len(rest)
    shared = np.exp(rng.normal(0, 0.03 + 0.2 * difficulty))
    sizes = np.array([pose.size for pose in rest]) * shared * np.exp(rng.normal(0, 0.03 + 0.1 * difficulty, count))
    places = _places(rng, sizes, size_wh, 1.0 - 0.5 * difficulty)
    speed = rng.exponential(0.25 * difficulty, count) * sizes * (rng.random(count) < 0.4)
    heading = rng.uniform(0, 6.28, count)
    velocity = np.minimum(speed, FASTEST)[:, None] * np.stack([np.cos(heading), np.sin(heading)], 1)
    poses = []
    for k in range(count):  # the order of the draws decides the bytes of a set
        aspect = rest[k].aspect + rng.normal(0, 0.15) * difficulty
        angle = rest[k].angle + rng.normal(0, 0.05 + 0.4 * free * difficulty)
        shear = rng.normal(0, 0.12) * difficulty
        roll = rng.normal(0, 0.08, 2) * difficulty
        x, y = places[k]
        poses.append(Pose(x, y, sizes[k], aspect, angle, shear, (roll[0], roll[1]), tuple(velocity[k].tolist())))
    return tuple(poses)


def _blocks(rng: Rng, seed_key: tuple[int, ...], frames: int, size_wh: tuple[int, int], store: Stock) -> ObjectSet:
    """Squares of one size with blurred colors of their own on a blurred ground, elsewhere in every image."""
    short, count = min(size_wh), int(rng.integers(5, 12))
    things = tuple(_block(rng) for _ in range(count))
    sizes = np.full(count, float(short * np.exp(rng.uniform(np.log(0.15), np.log(0.28)))))
    middle = np.array([[1.0, 0, -size_wh[0] / 2], [0, 1.0, -size_wh[1] / 2]])
    images = []
    for _ in range(frames):
        view = middle + np.array([[0, 0, 1], [0, 0, 1]]) * rng.uniform(-0.3, 0.3, (2, 1)) * short
        places = _places(rng, sizes, size_wh, 1.2)
        poses = tuple(Pose(x, y, size) for (x, y), size in zip(places, sizes, strict=True))
        images.append(ImagePlan(view, poses))
    ground = _blurred(rng, 16, 30.0, 2 * max(size_wh))
    look = make_look(rng, frames * LIGHT_STEP, 0.0, short / 240, seed_key)
    return ObjectSet(size_wh, things, "block", ground, tuple(images), (*range(1, count), 0), look, store.noise)


def _block(rng: Rng) -> Thing:
    outline = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    return Thing((Part(outline),), [Sprite([_blurred(rng, 4, 60.0, SPRITE)], np.zeros(2), 1.0)], 0.5)


def _blurred(rng: Rng, coarse: int, contrast: float, side: int) -> np.ndarray:
    """(side, side, 3) uint8: a random color, and ``coarse`` x ``coarse`` random changes of it."""
    noise = rng.normal(0, 1, (coarse, coarse, 3)) * contrast + rng.normal(0, 1, 3) * contrast + 118
    return cv2.resize(np.clip(noise, 0, 255).astype(np.float32), (side, side)).astype(np.uint8)


def _bent(thing: Thing, rng: Rng, waves: np.ndarray) -> Thing:
    wobble = Wobble(waves, rng.uniform(0.02, 0.12, 3) / waves**0.5, rng.uniform(0, 6.28, 3), rng.uniform(14, 50, 3))
    return Thing(thing.parts, thing.sprites, thing.norm, wobble, thing.soft)


def _faded(rng: Rng, ground: np.ndarray, contrast: float) -> np.ndarray:
    """``ground`` in other colors, with ``contrast`` about its mean."""
    matrix = recolor_matrix(rng, 0.8)
    mean = matrix[:, :3] @ ground.mean((0, 1)) + matrix[:, 3]
    return cv2.transform(ground, np.hstack([contrast * matrix[:, :3],
                                            (contrast * matrix[:, 3] + (1 - contrast) * mean)[:, None]]))
