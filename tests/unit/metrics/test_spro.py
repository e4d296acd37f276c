"""The exact sPRO curve, against its definition read off threshold by threshold."""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dfsc.metrics.spro import (
    FPR_LIMITS,
    Scores,
    SproAccumulator,
    au_spro,
    region_scores,
    saturation_area,
    spro_at,
    spro_curve,
)

Maps = Sequence[Scores]
Masks = list[list[NDArray[np.bool_]]]  # of each image's regions
Areas = list[list[int]]
Category = tuple[Maps, Masks, Areas]


def regions_of(maps: Maps, masks: Masks, areas: Areas) -> list[tuple[Scores, NDArray[np.bool_], int]]:
    """(map, mask, saturation area) of every region."""
    return [
        (anomaly_map, mask, area)
        for anomaly_map, image_masks, image_areas in zip(maps, masks, areas, strict=True)
        for mask, area in zip(image_masks, image_areas, strict=True)
    ]


def negatives_of(maps: Maps, masks: Masks) -> Scores:
    inside = [
        np.any([np.zeros(m.shape, bool), *image_masks], axis=0) for m, image_masks in zip(maps, masks, strict=True)
    ]
    return np.concatenate([m[~union] for m, union in zip(maps, inside, strict=True)])


def by_definition(maps: Maps, masks: Masks, areas: Areas) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FPR and mean sPRO at every distinct score, one threshold after the other."""
    regions, negatives = regions_of(maps, masks, areas), negatives_of(maps, masks)
    fpr, spro = [0.0], [0.0]
    for threshold in np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]:
        fpr.append(np.mean(negatives >= threshold))
        spro.append(np.mean([min(((m >= threshold) & mask).sum() / area, 1) for m, mask, area in regions]))
    return np.array(fpr), np.array(spro)


@st.composite
def categories(draw: st.DrawFn) -> Category:
    """Maps of different sizes, with few or many distinct scores; rectangular regions that may overlap."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 3, 20, 10**6]))
    maps: list[Scores] = []
    masks: Masks = []
    areas: Areas = []
    for number_of_regions in [*draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)), draw(st.integers(1, 2)), 0]:
        height, width = random.integers(4, 12, 2)
        maps.append((random.integers(0, levels, (height, width)) / levels - 0.5).astype(np.float32))
        masks.append([])
        for _ in range(number_of_regions):
            mask = np.zeros((height, width), bool)
            top, left = random.integers(0, height), random.integers(0, width)
            mask[top : top + random.integers(1, 6), left : left + random.integers(1, 6)] = True
            masks[-1].append(mask)
        # From one pixel to beyond the region: then even a full hit does not saturate.
        areas.append([int(random.integers(1, 2 * mask.sum() + 1)) for mask in masks[-1]])
    return maps, masks, areas


def au_spros(maps: Maps, masks: Masks, areas: Areas) -> list[float]:
    curve = spro_curve(maps, masks, areas)
    return [au_spro(*curve, limit) for limit in FPR_LIMITS]


@given(categories())
def test_equals_the_definition_at_every_distinct_score(category: Category) -> None:
    fpr, spro = spro_curve(*category)
    expected_fpr, expected_spro = by_definition(*category)
    assert (fpr[0], spro[0], fpr[-1]) == (0, 0, 1)
    assert (np.diff(fpr) >= 0).all() and (np.diff(spro) >= -1e-12).all() and spro.max() <= 1
    for limit in FPR_LIMITS:
        assert au_spro(fpr, spro, limit) == pytest.approx(au_spro(expected_fpr, expected_spro, limit), abs=1e-9)
    upper = np.append(expected_fpr[1:] > expected_fpr[:-1], True)  # of several points at one FPR, the highest
    np.testing.assert_allclose(spro_at(fpr, spro, expected_fpr[upper]), expected_spro[upper], atol=1e-9)


@given(categories(), st.sampled_from([lambda x: x**3 + x, np.exp, lambda x: 1000 * x - 7, np.arctan]))
def test_a_strictly_increasing_map_of_the_scores_changes_nothing(
    category: Category, increasing: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> None:
    maps, masks, areas = category
    changed = [increasing(anomaly_map.astype(np.float64)) for anomaly_map in maps]
    assert au_spros(changed, masks, areas) == pytest.approx(au_spros(maps, masks, areas), abs=1e-12)


@given(categories(), st.randoms(use_true_random=False))
def test_the_order_of_images_and_regions_changes_nothing(category: Category, random: Random) -> None:
    images = [
        (anomaly_map, list(zip(masks, areas, strict=True))) for anomaly_map, masks, areas in zip(*category, strict=True)
    ]
    random.shuffle(images)
    for _, regions in images:
        random.shuffle(regions)
    shuffled = (
        [anomaly_map for anomaly_map, _ in images],
        [[mask for mask, _ in regions] for _, regions in images],
        [[area for _, area in regions] for _, regions in images],
    )
    assert au_spros(*shuffled) == pytest.approx(au_spros(*category), abs=1e-12)


@given(categories(), st.integers(1, 5))
def test_counting_in_portions_changes_nothing(category: Category, portions: int) -> None:
    maps, masks, areas = category
    regions = [region_scores(*region) for region in regions_of(maps, masks, areas)]
    accumulator = SproAccumulator(regions)
    for portion in np.array_split(negatives_of(maps, masks), portions):
        accumulator.add(np.sort(portion))
    np.testing.assert_array_equal(accumulator.curve(), spro_curve(maps, masks, areas))
    # The curve of all regions is the mean of the curves of single ones, at the same FPR.
    fpr = np.linspace(0, 1, 50)
    single = [spro_at(*accumulator.curve([number]), fpr) for number in range(len(regions))]
    np.testing.assert_allclose(np.mean(single, axis=0), spro_at(*accumulator.curve(), fpr), atol=1e-9)


def test_all_scores_equal_is_the_diagonal() -> None:
    maps, mask = [np.ones((4, 5), np.float32)], np.zeros((4, 5), bool)
    mask[0] = True
    for area in (1, 5):
        fpr, spro = spro_curve(maps, [[mask]], [[area]])
        assert au_spro(fpr, spro, 1.0) == pytest.approx(0.5)
        assert au_spro(fpr, spro, 0.3) == pytest.approx(0.15)


def test_one_region_found_first_is_perfect() -> None:
    anomaly_map, mask = np.zeros((4, 5), np.float32), np.zeros((4, 5), bool)
    mask[1:3, 1:3] = True
    anomaly_map[mask] = [4, 3, 2, 1]
    assert au_spros([anomaly_map], [[mask]], [[4]]) == [1] * 5
    assert au_spros([anomaly_map], [[mask]], [[8]]) == [0.5] * 5, "an area above the region's is never reached"


def test_neighbouring_floats_are_told_apart() -> None:
    low = np.float64(1)
    maps = [np.array([[low, np.nextafter(low, 2)]])]
    assert au_spros(maps, [[np.array([[False, True]])]], [[1]]) == [1] * 5
    assert au_spros(maps, [[np.array([[True, False]])]], [[1]]) == [0] * 5


@pytest.mark.parametrize(
    ("area", "threshold", "relative", "expected"),
    [
        (100, 0.5, True, 50),
        (99, 0.5, True, 49),
        (100, 1.0, True, 100),
        (100, 900, False, 100),
        (1000, 900, False, 900),
        (3, 0.3, True, 1),  # the official int(0.9) is 0, by which it would divide
        (3, 0, False, 1),
    ],
)
def test_saturation_area(area: int, threshold: float, relative: bool, expected: int) -> None:
    assert saturation_area(area, threshold, relative) == expected


def test_refuses_what_has_no_curve() -> None:
    anomaly_map, everywhere = np.ones((2, 2), np.float32), np.ones((2, 2), bool)
    with pytest.raises(ValueError, match="at least one region"):
        spro_curve([anomaly_map], [[]], [[]])
    with pytest.raises(ValueError, match="outside the regions"):
        spro_curve([anomaly_map], [[everywhere]], [[1]])
    with pytest.raises(ValueError, match="at least one pixel"):
        spro_curve([anomaly_map], [[~everywhere]], [[1]])
    with pytest.raises(ValueError, match="saturation area"):
        spro_curve([anomaly_map], [[everywhere]], [[0]])
    for limit in (0, -0.1, 1.1):
        with pytest.raises(ValueError, match="outside"):
            au_spro(np.array([0.0, 1.0]), np.array([0.0, 1.0]), limit)
