"""Each generated category's rule holds in every normal image and is broken in every logical anomaly.

The rules are read from the parts of a scene, not from its pixels.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from PIL import ImageChops

from dfsc.data.synthetic import SCENES
from dfsc.data.synthetic.scene import Defect, Part, draw_scene

TIMES = 12  # drawings of each kind


def coin_tray(parts: list[Part]) -> bool:
    """As many small coins as large ones, these above, evenly apart."""
    rows = [sorted((part for part in parts if (part.centre[1] > 120) == below), key=across) for below in (False, True)]
    if len(rows[0]) != len(rows[1]):
        return False
    sizes = [{part.kind for part in row} for row in rows]
    even = all(np.ptp([after.centre[0] - before.centre[0] for before, after in pairwise(row)]) < 20 for row in rows)
    return sizes == [{"large"}, {"small"}] and even


def picture_wall(parts: list[Part]) -> bool:
    """Rows are pairs, in an order that goes round."""
    above = sorted(parts, key=lambda part: part.centre[1])
    rows = [{part.kind for part in above[row : row + 2]} for row in (0, 2, 4)]
    order = ["cat", "cup", "astronaut", "rocket", "cat", "cup"]
    return rows in [[{motif} for motif in order[first : first + 3]] for first in range(4)]


def dahlia_row(parts: list[Part]) -> bool:
    """Each flower is larger than the one to its left."""
    widths = [part.picture.width for part in sorted(parts, key=across)]
    return len(parts) == 5 and all(left < right for left, right in pairwise(widths))


def cable_panel(parts: list[Part]) -> bool:
    """Both ends of a cable have one colour; the colours are in an order that goes round."""
    plugs = sorted((part for part in parts if part.kind != "cable"), key=lambda part: part.centre[1])
    ends = [[part.kind for part in plugs if (part.centre[0] > 160) == right] for right in (False, True)]
    order = ["red", "yellow", "blue", "green", "red", "yellow"]
    return ends[0] == ends[1] and ends[0] in [order[first : first + 3] for first in range(4)]


def across(part: Part) -> float:
    """Where a part lies from left to right."""
    return part.centre[0]


RULES: dict[str, Callable[[list[Part]], bool]] = {
    "coin_tray": coin_tray,
    "picture_wall": picture_wall,
    "dahlia_row": dahlia_row,
    "cable_panel": cable_panel,
}
ANOMALIES = [(name, defect) for name, scene in SCENES.items() for defect in (*scene.logical, *scene.structural)]
NAMED = [f"{name}, {defect.name}" for name, defect in ANOMALIES]


def drawn(name: str, seed: int, defect: Defect | None = None) -> list[Part]:
    """The parts of a scene."""
    random = np.random.default_rng(seed)
    parts = SCENES[name].arrange(random)
    return defect.edit(random, parts)[0] if defect else parts


@pytest.mark.parametrize("name", SCENES)
def test_the_rule_holds_in_normal_images(name: str) -> None:
    assert all(RULES[name](drawn(name, seed)) for seed in range(TIMES))


@pytest.mark.parametrize(("name", "defect"), ANOMALIES, ids=NAMED)
def test_only_logical_anomalies_break_the_rule(name: str, defect: Defect) -> None:
    held = [RULES[name]([part for part in drawn(name, seed, defect) if part.kind != "stone"]) for seed in range(TIMES)]
    assert set(held) == {defect in SCENES[name].structural}


@pytest.mark.parametrize("name", SCENES)
def test_no_part_of_a_logical_anomaly_is_strange_by_itself(name: str) -> None:
    kinds = {part.kind for seed in range(TIMES) for part in drawn(name, seed)}
    for defect in SCENES[name].logical:
        assert {part.kind for seed in range(TIMES) for part in drawn(name, seed, defect)} <= kinds


@pytest.mark.parametrize(("name", "defect"), ANOMALIES, ids=NAMED)
def test_masks_cover_parts_of_the_anomaly_and_not_the_whole_image(name: str, defect: Defect) -> None:
    scene = SCENES[name]
    image, masks = draw_scene(scene, np.random.default_rng(1), defect)
    assert image.size == scene.size and masks
    for mask in masks:
        assert mask.size == scene.size and mask.getextrema() == (0, 255)
        assert 0 < np.mean(np.asarray(mask) > 0) < 0.5


@pytest.mark.parametrize(("name", "defect"), [found for found in ANOMALIES if found[1] in SCENES[found[0]].structural])
def test_masks_cover_what_damage_changed(name: str, defect: Defect) -> None:
    """And little else. On one ground, without light and shadow; what was bent by less than a pixel may lie outside."""
    for seed in range(4):
        images = []
        for which in (None, defect):
            random = np.random.default_rng(seed)
            ground, parts = SCENES[name].ground(random), SCENES[name].arrange(random)
            parts, regions = which.edit(random, parts) if which else (parts, [])
            for part in parts:
                ground.paste(part.picture, part.corner, part.picture)
            images.append(ground)
        changed = np.asarray(ImageChops.difference(*images)).max(axis=2)
        difference = changed > 40
        covered = np.zeros(difference.shape, bool)
        for part in (part for region in regions for part in region):
            left, top = part.corner
            alpha = np.asarray(part.picture.getchannel("A")) > 8
            rows, columns = np.nonzero(alpha)
            inside = (rows + top >= 0) & (rows + top < covered.shape[0]) & (columns + left >= 0)
            inside &= columns + left < covered.shape[1]
            covered[rows[inside] + top, columns[inside] + left] = True
        outside = (difference & ~covered).sum() / difference.sum()
        assert difference.any() and outside <= (0.1 if "bent" in defect.name or "warped" in defect.name else 0)
        assert np.mean(changed[covered] > 3) > 0.9


LAID_ANEW = ("uneven_rows", *(defect.name for defect in SCENES["dahlia_row"].logical))  # most parts have moved a little
PUT_BACK = [
    pytest.param(name, defect, id=f"{name}, {defect.name}")
    for name, scene in SCENES.items()
    for defect in scene.logical
    if defect.name not in LAID_ANEW
]


def near(one: Part, other: Part) -> bool:
    """Whether they lie at one place."""
    return max(abs(a - b) for a, b in zip(one.centre, other.centre, strict=True)) < 10


@pytest.mark.parametrize("name", SCENES)
def test_to_cover_the_smallest_part_is_enough(name: str) -> None:
    parts = [part for seed in range(TIMES) for part in drawn(name, seed) if part.kind != "cable"]
    smallest = min(int((np.asarray(part.picture.getchannel("A")) > 128).sum()) for part in parts)
    for defect in SCENES[name].logical:
        assert 0.7 < defect.saturation / smallest < 1.4


@pytest.mark.parametrize(("name", "defect"), PUT_BACK)
def test_a_scene_is_normal_again_once_what_is_marked_is_put_back(name: str, defect: Defect) -> None:
    for seed in range(TIMES):
        random = np.random.default_rng(seed)
        before = SCENES[name].arrange(random)
        parts, regions = defect.edit(random, before)
        marked = [part for region in regions for part in region]
        kept = [part for part in parts if not any(part is other for other in marked)]
        back = [part for part in before if any(near(part, other) for other in marked if other.kind != "cable")]
        assert RULES[name](kept + back), seed


@pytest.mark.parametrize("defect", SCENES["dahlia_row"].logical, ids=lambda defect: defect.name)
def test_flowers_that_are_not_marked_are_in_order(defect: Defect) -> None:
    for seed in range(TIMES):
        random = np.random.default_rng(seed)
        parts, (region,) = defect.edit(random, SCENES["dahlia_row"].arrange(random))
        others = sorted((part for part in parts if not any(part is other for other in region)), key=across)
        widths = [part.picture.width for part in others]
        assert widths == sorted({*widths}), seed


@pytest.mark.parametrize(("name", "kind"), [("cable_panel", "mismatched_ends"), ("picture_wall", "mismatched_pair")])
def test_both_of_two_that_do_not_match_are_marked(name: str, kind: str) -> None:
    """Either may be the wrong one."""
    (defect,) = (defect for defect in SCENES[name].logical if defect.name == kind)
    for seed in range(TIMES):
        random = np.random.default_rng(seed)
        _, ((left, right),) = defect.edit(random, SCENES[name].arrange(random))
        assert left.kind != right.kind and abs(left.centre[1] - right.centre[1]) < 10
        assert right.centre[0] - left.centre[0] > SCENES[name].size[0] / 3
