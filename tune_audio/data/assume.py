"""What to assume of somebody's recordings where `data` says auto.

All that is assumed becomes an ordinary option of `data`, told together with the --set that changes
it: clip_seconds and windows from the lengths of the recordings, the split from folders and names.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tune_audio.data.apart import MISSING, Assumption, groups_apart, groups_of_train
from tune_audio.data.bandwidth import LOWEST_RATE, Bandwidth, measure
from tune_audio.data.clips import SPLITS, Listing
from tune_audio.data.load import list_clips
from tune_audio.data.survey import Survey, look

AUTO = "auto"
# A clip is as long as all but one recording in twenty, which loses its ends.
COVERED_PERCENT = 95
LONGEST_WHOLE_SECONDS = 3.0
SHORTEST_CLIP_SECONDS = 0.5
WINDOW_OPTIONS = ("window_seconds", "hop_seconds")
WINDOW_SECONDS = 2.0
LONGEST_WITHOUT_WINDOWS_SECONDS = 10.0
FRACTIONS = (0.70, 0.15, 0.15)
PERCENT = "70/15/15 %"
MISSING_SPLIT_SHARE = 0.15


def assume(
    data: Mapping[str, Any], known: Collection[str]
) -> tuple[dict[str, Any], list[str], list[Assumption]]:
    """`data` without an auto in it, what its recordings are like, and what was assumed.

    known: the names of the data set's own options. Raises UserError for a folder that does not fit
    the data set, or in which nothing can be read.
    """
    name, root = data["name"], Path(data["root"]).absolute()
    decided = {key: value for key, value in data.items() if value != AUTO}
    whole = {k: v for k, v in decided.items() if k in known and k not in WINDOW_OPTIONS}
    recordings = list_clips(name, root, **whole)
    survey = look(recordings)
    made = []
    if data.get("sample_rate") == AUTO:
        made.append(_sample_rate(measure(recordings)))
        decided |= made[-1].options
    if data.get("clip_seconds") == AUTO:
        made.append(_clip_length(decided, survey, known))
        decided |= made[-1].options
    # Splits count windows, not recordings; and what a missing one takes is to be looked at first.
    listing = list_clips(
        name, root, **{k: v for k, v in decided.items() if k in known and k != MISSING}
    )
    if data.get("split") == AUTO:
        made.append(_split(listing, decided, known))
        decided |= made[-1].options
    if data.get("split_by") == AUTO and decided.get("split", "official") != "official":
        made.append(groups_apart(listing, root, decided, known))
    elif data.get("split_by") == AUTO and decided.get(MISSING):
        made.append(groups_of_train(listing, root, decided, known))
    for assumption in made:
        decided |= assumption.options
    return decided, survey.lines(decided.get("sample_rate", LOWEST_RATE)), made


def _clip_length(data: Mapping[str, Any], survey: Survey, known: Collection[str]) -> Assumption:
    if window := data.get("window_seconds"):
        return Assumption({"clip_seconds": window}, f"Clips of {window:g} s, as the windows are.")
    covering = float(np.percentile(survey.seconds, COVERED_PERCENT, method="higher"))
    # To the next tenth; a recording of 1.00002 s is one of 1 s.
    whole = max(SHORTEST_CLIP_SECONDS, float(np.ceil(round(covering * 10, 2))) / 10)
    if "window_seconds" in known and whole > LONGEST_WHOLE_SECONDS:
        hop = data.get("hop_seconds", WINDOW_SECONDS / 2)
        return Assumption(
            {
                "clip_seconds": WINDOW_SECONDS,
                "window_seconds": WINDOW_SECONDS,
                "hop_seconds": hop,
            },
            f"Recordings are cut into windows of {WINDOW_SECONDS:g} s, one every {hop:g} s, each "
            "with the label of its recording; those of one recording stay in one split, and their "
            "predictions are averaged before they are judged.",
            f"--set data.window_seconds=1; or uncut, --set data.clip_seconds={whole:g}",
        )
    seconds = min(whole, LONGEST_WITHOUT_WINDOWS_SECONDS)
    longer = np.count_nonzero(survey.seconds > seconds + 1e-3) / len(survey.seconds)
    cut = f"{longer:.1%} are longer and lose their ends, " if longer else ""
    return Assumption(
        {"clip_seconds": seconds},
        f"Clips of {seconds:g} s: {cut}shorter ones are followed by silence.",
        "--set data.clip_seconds=SECONDS",
    )


def _sample_rate(found: Bandwidth) -> Assumption:
    khz, half = f"{found.rate / 1000:g} kHz", LOWEST_RATE / 2000
    options = {"sample_rate": found.rate}
    if found.rate == LOWEST_RATE:
        reason = f"Heard at {khz}: hardly any recording has anything above {half:g} kHz."
        return Assumption(options, reason)
    return Assumption(
        options,
        f"Heard at {khz}: {found.above} of {found.listened} recordings listened to have something "
        f"above {half:g} kHz, {found.label} most, and {found.hertz / 1000:.0f} kHz is reached.",
        f"--set data.sample_rate={LOWEST_RATE}, which is quicker",
    )


def _split(listing: Listing, data: Mapping[str, Any], known: Collection[str]) -> Assumption:
    splits = {clip.split for clip in listing.clips}
    own = ", ".join(split for split in SPLITS if split in splits)
    missing = [split for split in SPLITS if split not in splits]
    otherwise = f"--set data.split='{list(FRACTIONS)}'"
    if splits == set(SPLITS):
        return Assumption({"split": "official"}, f"Split as the data are: {own}.", otherwise)
    can_complete = MISSING in known and missing in (["validation"], ["test"])
    if None not in splits and can_complete:
        share = data.get(MISSING) or MISSING_SPLIT_SHARE
        return Assumption(
            {"split": "official", MISSING: share},
            f"Split as the data are: {own}; {missing[0]} is missing and takes {share:.0%} of "
            "train.",
            otherwise,
        )
    ignored = ""
    if own:
        count = sum(clip.split is not None for clip in listing.clips)
        ignored = f" Only {count:,} of {len(listing.clips):,} clips say a split, {own}: ignored."
        if None not in splits:
            ignored = f" All are in {own}, which is ignored."
    return Assumption(
        {"split": FRACTIONS},
        f"Split {PERCENT} for train, validation, test.{ignored}",
        "--set data.split='[0.8, 0.1, 0.1]'",
    )
