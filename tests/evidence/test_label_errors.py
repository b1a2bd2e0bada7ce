"""Labels that were changed are found, by cleanlab where it is installed."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from kept_predictions import drawn

from tune_audio.errors import UserError
from tune_audio.evidence.label_errors import suspects

CLEANLAB = "cleanlab is not installed: pip install 'tune-audio[audit]'"


def test_labels_that_were_changed_are_suspected_and_what_they_were_is_proposed() -> None:
    pytest.importorskip("cleanlab", reason=CLEANLAB)
    kept = drawn(clips=1000, labels=8, sure=5.0)
    changed = np.arange(0, 1000, 40)
    targets = kept.targets.copy()
    targets[changed] = (targets[changed] + 3) % 7  # the last label keeps its clips
    changed = changed[targets[changed] != kept.targets[changed]]
    found = suspects(replace(kept, targets=targets))
    rows = [suspect.recording for suspect in found]
    assert len(set(rows) & set(changed)) > 0.6 * len(changed)
    assert len(set(rows) - set(changed)) < 0.1 * len(changed)
    assert [suspect.chance for suspect in found] == sorted(suspect.chance for suspect in found)
    for suspect in found:
        if suspect.recording in changed:
            assert suspect.given == targets[suspect.recording]
            assert suspect.likely == kept.targets[suspect.recording]


def test_of_several_labels_one_too_many_and_one_that_lacks_are_told_apart() -> None:
    pytest.importorskip("cleanlab", reason=CLEANLAB)
    kept = drawn(clips=1000, several=True, sure=4.0)
    targets = kept.targets.copy()
    extra, lacking = (np.flatnonzero(targets[:, 2] == value)[:400:20] for value in (0, 1))
    targets[extra, 2], targets[lacking, 2] = 1, 0
    found = suspects(replace(kept, targets=targets))
    too_many = {s.recording for s in found if s.given == 2 and s.likely is None}
    lacks = {s.recording for s in found if s.likely == 2 and s.given is None}
    assert len(too_many & set(extra)) >= 0.9 * len(extra)
    assert len(lacks & set(lacking)) >= 0.8 * len(lacking)
    assert len(found) < 1.5 * (len(extra) + len(lacking))
    assert all(suspect.chance < 0.5 for suspect in found)


def test_windows_are_judged_as_their_recording() -> None:
    pytest.importorskip("cleanlab", reason=CLEANLAB)
    kept = drawn(clips=600, sure=4.0)
    targets = np.repeat(kept.targets[::3], 3)
    moved = kept.logits.astype(float) + 8 * np.eye(5)[targets]
    targets[:30] = (targets[:30] + 1) % 5
    windows = replace(
        kept, logits=moved, targets=targets, recording=np.repeat(np.arange(7, 207), 3)
    )
    found = [suspect.recording for suspect in suspects(windows)]
    assert set(found) <= set(range(7, 17))
    assert 7 <= len(found) == len(set(found))


@pytest.mark.parametrize("several", [False, True])
def test_without_cleanlab_the_extra_is_named(
    several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cleanlab", "cleanlab.multilabel_classification"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"tune-audio\[audit\]"):
        suspects(drawn(several=several))
