"""A forecast as a table that fits 80 columns, and the lines below it."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from tune_audio.costs.forecast import SECONDS_TO_START, Forecast, Span
from tune_audio.costs.outline import Outline
from tune_audio.data.corpus import Corpus
from tune_audio.machine.cached import human
from tune_audio.space import SearchSpace

UNITS = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (100, 60, "min"), (0, 1, "s"))


def show_forecast(
    forecast: Forecast,
    space: SearchSpace,
    corpus: Corpus,
    fetched: Mapping[str, Sequence[str]],
    console: Console,
    *,
    workers: int,
    feature_bytes: int,
) -> None:
    """Print what each family takes, and all of them here and on so many machines like this.

    fetched: family to the checkpoints that the search has to fetch first.
    """
    console.print(_table(forecast, workers))
    lines = [
        *_unknown(forecast, fetched),
        *_durations(forecast, space, workers),
        *_room(forecast, corpus, feature_bytes),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(forecast: Forecast, workers: int) -> Table:
    on_gpus = any(family.gpus for family in forecast.families)
    table = Table(title="What it takes, if no trial is stopped early", title_justify="left")
    table.add_column("family", overflow="fold")
    for column in ("trials", "epochs", "an epoch", "once", "memory", *(["GPU"] * on_gpus), "here"):
        table.add_column(column, justify="right")
    if workers > 1:
        table.add_column(f"on {workers}", justify="right")
    for family in forecast.families:
        row = [family.name, str(family.trials), str(forecast.epochs)]
        if family.works:
            memory = "?" if family.memory_bytes is None else human(family.memory_bytes)
            gpu = [f"{family.gpus:.2g}"] if on_gpus else []
            row += [fine(family.epoch_seconds), duration(family.once_seconds), memory, *gpu]
            for machines in dict.fromkeys([1, workers]):
                row.append(duration(forecast.span(machines, [family]).most))
        table.add_row(*row)
    return table


def _unknown(forecast: Forecast, fetched: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for family, checkpoints in fetched.items():
        yield (
            f"{family}: not measured; the search first fetches {', '.join(checkpoints)} from the "
            "Hugging Face hub (size not known here)"
        )
    for of in forecast.families:
        if of.problem:
            yield f"{of.name}: not known: {of.problem}"


def _durations(forecast: Forecast, space: SearchSpace, workers: int) -> Iterator[str]:
    known = [family for family in forecast.families if family.works]
    if not known:
        return
    node = forecast.node
    stopped = False
    for machines in dict.fromkeys([1, workers]):
        span, after = forecast.span(machines, known), forecast.retraining_seconds(machines)
        where = f"Here ({node.cpus:g} CPUs, {node.gpus} GPUs)"
        if machines > 1:
            where = f"On {machines} machines like this one"
        text = _text(Span(span.least + SECONDS_TO_START, span.most + SECONDS_TO_START))
        yield f"{where}: {text}" + (f", then {duration(after)} of retraining" if after else "")
        stopped |= span.least < span.most
    if stopped:
        yield (
            f"The shorter where {space.search.scheduler} stops as many trials as it is expected "
            "to, the longer where it stops none."
        )
    if any(family.once_seconds >= 1 for family in known):
        yield "Once: what is computed once for all trials, on every machine of a cluster."


def _room(forecast: Forecast, corpus: Corpus, feature_bytes: int) -> Iterator[str]:
    needed = forecast.stored_bytes()
    line = f"In the cache: {human(needed)} of features, of {human(feature_bytes)} allowed"
    if needed > feature_bytes:
        line += "; what does not fit is computed again and again (--cache-gb)"
    yield line
    if isinstance(corpus, Outline):
        audio = human(2 * len(corpus) * corpus.clip_samples)
        yield (
            f"The recordings, about {audio} as samples, are still to be decoded, which comes on "
            "top. Noise was measured in their place: it takes as long."
        )
    else:
        yield f"Its recordings lie there decoded ({human(corpus.samples.nbytes)})."


def _text(span: Span) -> str:
    """4.1 to 8.3 min; one number where they are the same."""
    texts = [duration(span.least), duration(span.most)]
    if texts[0] == texts[1]:
        return texts[0]
    (least, unit), (_, last) = (text.split() for text in texts)
    return f"{least} to {texts[1]}" if unit == last else " to ".join(texts)


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 8.3 min, 1.5 h, 12 days."""
    _, size, unit = next(of for of in UNITS if seconds >= of[0])
    count = seconds / size
    return f"{count:.1f} {unit}" if count < 10 and size > 1 else f"{count:.0f} {unit}"


def fine(seconds: float) -> str:
    """The same where a second is much: 0.012 s."""
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)
