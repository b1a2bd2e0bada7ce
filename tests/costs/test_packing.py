"""Shares of a GPU: so many trials fit as the memory says, and never one more."""

import pytest

from tune_audio.costs.packing import MOST_ON_A_GPU, RAY_UNITS, Node, Packing, one_of, raised
from tune_audio.costs.packing import share_of_gpu as share

GB = 10**9


@pytest.mark.parametrize(
    ("peak_gb", "fitting"),
    [
        (80, 1),
        (41, 1),  # two of them fill it without a margin
        (35, 1),  # 2 x 35 x 1.15 is 80.5
        (34, 2),
        (23, 3),
        (0.1, MOST_ON_A_GPU),
        (0, MOST_ON_A_GPU),
        (200, 1),  # more than there is: a whole one, where it fails
    ],
)
def test_as_many_share_a_gpu_as_fit_with_a_margin(peak_gb, fitting):
    assert share(int(peak_gb * GB), 80 * GB) == pytest.approx(1 / fitting, abs=1e-4)


def test_never_less_than_what_was_asked_for():
    assert share(GB, 80 * GB, least=0.5) == 0.5
    assert share(GB, 80 * GB, least=2.0) == 2.0
    assert share(60 * GB, 80 * GB, least=0.5) == 1.0


@pytest.mark.parametrize("count", range(1, 100))
def test_ray_places_as_many_on_a_gpu_as_meant(count):
    units = round(one_of(count) * RAY_UNITS)
    assert count * units <= RAY_UNITS < (count + 1) * units
    assert Node(cpus=1000, gpus=2).slots(1, one_of(count)) == 2 * count


@pytest.mark.parametrize(("had", "gets"), [(0.25, 0.5), (0.6, 1.0), (1.0, 1.0), (2.0, 2.0)])
def test_twice_the_share_and_at_most_a_gpu(had, gets):
    assert raised(had) == gets


def packing(share: float) -> Packing:
    return Packing({"ast": {"CPU": 1, "GPU": share}, "cnn": {"CPU": 2, "GPU": 0.25}})


def test_a_trial_out_of_memory_is_repeated_once_and_its_family_s_share_stays_raised():
    shares = packing(0.25)
    assert shares.begin("ast-0", "ast") == {"CPU": 1, "GPU": 0.25}
    assert "0.25 of a GPU; it is repeated with 0.5" in shares.out_of_memory("ast-0", "ast")
    assert shares.begin("ast-0", "ast")["GPU"] == 0.5
    assert shares.out_of_memory("ast-0", "ast") is None
    assert shares.begin("ast-1", "ast")["GPU"] == 0.5  # those to come have the raised one
    assert shares.begin("cnn-0", "cnn") == {"CPU": 2, "GPU": 0.25}  # and other families theirs


def test_several_that_fail_with_the_same_share_raise_it_once():
    shares = packing(0.25)
    for key in ("ast-0", "ast-1"):
        shares.begin(key, "ast")
    for key in ("ast-0", "ast-1"):
        assert shares.out_of_memory(key, "ast")
        assert shares.begin(key, "ast")["GPU"] == 0.5


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0])
def test_who_has_whole_gpus_or_none_is_not_repeated(share):
    shares = packing(share)
    shares.begin("ast-0", "ast")
    assert not shares.may_be_repeated("ast-0") and shares.out_of_memory("ast-0", "ast") is None


def test_slots_of_a_machine():
    machine = Node(cpus=8, gpus=2)
    assert machine.slots(1, 0) == 8 and machine.slots(3, 0) == 2 and machine.slots(16, 0) == 0
    assert machine.slots(1, 0.25) == 8 and machine.slots(2, 0.25) == 4  # CPUs are what lacks
    assert machine.slots(1, 0.6) == 2  # 0.4 of each GPU is left, which is no 0.6 together
    assert machine.slots(1, 2) == 1 and machine.slots(1, 4) == 0
