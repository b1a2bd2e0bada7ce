"""How sure a search's scores are, in words: intervals, ties, and what was luck."""

from collections.abc import Mapping

from tune_audio.evidence.comparison import Comparison
from tune_audio.evidence.intervals import Interval
from tune_audio.evidence.optimism import Corrected
from tune_audio.reporting.values import NOT_RUN, format_metric


def format_interval(found: Interval | None) -> str:
    """0.87-0.94, or a dash where it is not known."""
    if found is None:
        return NOT_RUN
    return f"{found.low:.2f}-{found.high:.2f}"


def heard(found: Interval) -> str:
    """Over what an interval was taken: `5 speakers or sources`."""
    what = "speakers or sources" if found.resampled == "groups" else "recordings"
    return f"{found.count:,} {what}"


def about_intervals(intervals: Mapping[str, Interval]) -> str | None:
    """The line below a table with intervals."""
    found = max(intervals.values(), key=lambda one: one.count, default=None)
    if found is None:
        return None
    note = f"; {found.note}" if found.note else ""
    return f"{found.level:.0%} intervals by {found.method} over {heard(found)}{note}"


def ties(comparison: Comparison, over: Interval) -> str:
    """Which families cannot be told from the winner."""
    winner = f"{comparison.winner} ({format_metric(comparison.score)})"
    if not comparison.tied:
        return f"{winner} is better than every other family, with {heard(over)}."
    scores = {rival.name: rival.score for rival in comparison.rivals}
    tied = ", ".join(f"{name} ({format_metric(scores[name])})" for name in comparison.tied)
    return f"Not to be told from the winner, {winner}, with {heard(over)}: {tied}."


def luck(corrected: Corrected) -> list[str]:
    """What the winner is worth besides having been chosen: a line, of several trials."""
    if corrected.trials < 2:
        return []
    line = (
        f"The best of {corrected.trials} trials is partly luck: of its "
        f"{format_metric(corrected.raw.score)}, {format_metric(corrected.corrected.score)} "
        f"({format_interval(corrected.corrected)}) is left when the choice is repeated (BBC-CV)."
    )
    return [line]


def cheapest(comparison: Comparison, milliseconds: Mapping[str, float]) -> list[str]:
    """Which of those that cannot be told from the winner answers soonest: a line, if another does.

    milliseconds: of a clip, by family.
    """
    if not comparison.tied or not {comparison.winner, *comparison.tied} <= milliseconds.keys():
        return []
    name = comparison.cheapest(milliseconds)
    times = f"{milliseconds[name]:.2g} ms a clip"
    if name == comparison.winner:
        return [f"Of those that cannot be told apart the winner is the cheapest, too ({times})."]
    winner = f"{milliseconds[comparison.winner]:.2g}"
    return [
        f"The cheapest of those that cannot be told from {comparison.winner} is {name} ({times}, "
        f"against {winner})."
    ]
