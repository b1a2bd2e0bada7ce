"""What is resampled: groups where there are two, and never a part of one."""

from dataclasses import replace

import numpy as np
from kept_predictions import drawn

from tune_audio.evidence.units import MOST, units


def test_groups_are_drawn_where_there_are_some_else_recordings() -> None:
    kept = drawn(groups=12)
    assert (units(kept).kind, units(kept).count, units(kept).note) == ("groups", 12, "")
    without = units(replace(kept, group=None))
    assert (without.kind, without.count, without.note) == ("recordings", 300, "")


def test_one_speaker_says_nothing_of_others_and_it_is_told() -> None:
    alone = units(drawn(groups=1))
    assert (alone.kind, alone.count) == ("recordings", 300)
    assert "1 speaker" in alone.note


def test_windows_of_a_recording_are_one_unit() -> None:
    kept = replace(drawn(groups=None), recording=np.repeat(np.arange(100), 3))
    assert units(kept).count == 100
    np.testing.assert_array_equal(units(kept).of_row, kept.recording)


def test_many_are_pooled_whole_and_evenly() -> None:
    kept = drawn(clips=3000, groups=1000)
    found = units(kept)
    assert (found.parts, found.count) == (MOST, len(np.unique(kept.group)))
    for group in np.unique(kept.group):
        assert len(np.unique(found.of_row[kept.group == group])) == 1
    sizes = [len(np.unique(kept.group[found.of_row == part])) for part in range(MOST)]
    assert max(sizes) - min(sizes) <= 1


def test_draws_are_seeded_samples_of_as_many_units() -> None:
    found = units(drawn())
    first, again, other = found.draws(50, 0), found.draws(50, 0), found.draws(50, 1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first.sum(axis=1) == 12).all()


def test_folds_judge_each_row_once_by_units_that_were_not_fitted_on() -> None:
    kept, judged = drawn(groups=3), []
    for held, rest in units(kept).folds(5, seed=0):
        assert not set(kept.group[held]) & set(kept.group[rest])
        judged.extend(held)
    assert sorted(judged) == list(range(300))
