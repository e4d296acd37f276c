"""Each seed, purpose and step has random numbers of its own, and always the same."""

from itertools import product

from dfsc.training.randomness import generator, shuffled_index, torch_seed

STREAMS = list(product((0, 1, 2), ("jitter", "penalty", "dropout"), (0, 1, 2)))


def test_no_two_streams_are_alike() -> None:
    for drawn in (lambda *stream: generator(*stream).random(), torch_seed):
        found = [drawn(*stream) for stream in STREAMS]
        assert len(set(found)) == len(STREAMS)
        assert found == [drawn(*stream) for stream in STREAMS]


def test_every_epoch_and_seed_has_an_order_of_its_own() -> None:
    orders = {
        tuple(shuffled_index(seed, 9, 9 * epoch + place) for place in range(9)) for seed in (0, 1) for epoch in range(3)
    }
    assert len(orders) == 6
    assert all(sorted(order) == list(range(9)) for order in orders)
