"""How much of a search is left, in seconds of its trials."""

from collections.abc import Mapping, Sequence
from statistics import mean

from tune_audio.reporting.records import ENDED, TrialRecord

# The first epoch of a trial may compute what the others read, so one epoch tells nothing.
TELLING_EPOCHS = 2


def seconds_left(
    records: Sequence[TrialRecord], totals: Mapping[str, int], epochs: int
) -> float | None:
    """Trial seconds that are still to be spent, or None while that would be a guess.

    Counted family by family, because an AST trial takes many times a CNN's: by those that ended,
    or, before any has, by the running ones as if none were stopped early.

    Args:
        records: of all trials so far.
        totals: family to how many trials it will have.
        epochs: that a trial has when nothing stops it.
    """
    left = 0.0
    for family, total in totals.items():
        mine = [record for record in records if record.family == family]
        ended = [record.seconds for record in mine if record.state in ENDED]
        if len(ended) >= total:
            continue
        running = [record for record in mine if record.state == "running"]
        whole = ended or [
            record.seconds + (epochs - len(record.epochs)) * record.epochs[-1]["epoch_seconds"]
            for record in running
            if len(record.epochs) >= TELLING_EPOCHS
        ]
        if not whole:
            return None
        spent = sum(record.seconds for record in running)
        left += max(0.0, (total - len(ended)) * mean(whole) - spent)
    return left
