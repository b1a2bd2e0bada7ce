"""A look at somebody's recordings, by their headers."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tune_audio.data.audio import read_header
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.clips import Listing
from tune_audio.errors import UserError
from tune_audio.escaping import printable

MOST_LOOKED_AT = 500
FEW_RECORDINGS = 10
UNEQUAL_CLASSES = 3.0
UNEQUAL_RATES = 0.5
MOST_LABELS_SHOWN = 8
CHANNELS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True)
class Survey:
    """What at most 500 headers say, evenly spread over the recordings.

    `seconds` is float64 (n,); `rates` counts (label, sample rate in Hz); `labels` counts all
    recordings, which are `recordings` in number.
    """

    recordings: int
    labels: Counter[str]
    seconds: np.ndarray
    formats: Counter[str]
    channels: Counter[str]
    rates: Counter[tuple[str, int]]

    def lines(self, sample_rate: int) -> list[str]:
        """What there is, and what may go wrong with it at the rate that is to be heard."""
        return [*self._recordings(), *self._class_sizes(), *self._low_rates(sample_rate)]

    def _recordings(self) -> list[str]:
        sizes = [f"{label} {count:,}" for label, count in self.labels.most_common()]
        if len(sizes) > MOST_LABELS_SHOWN:
            sizes[MOST_LABELS_SHOWN:] = ["…"]
        rates: Counter[str] = Counter()
        for (_, rate), count in self.rates.items():
            rates[f"{rate / 1000:g} kHz"] += count
        shortest, median, longest = np.quantile(self.seconds, (0, 0.5, 1))
        lengths = f"{shortest:.2g} to {longest:.3g} s, median {median:.2g}"
        if f"{shortest:.2g}" == f"{longest:.2g}":
            lengths = f"{median:.2g}"
        # Some are always skipped unread, so what was read may be fewer than all.
        sample = f"; by {len(self.seconds)} of them" if len(self.seconds) < self.recordings else ""
        return [
            f"{self.recordings:,} recordings of {len(self.labels)} classes: {', '.join(sizes)}",
            f"{lengths} s long; {_kinds(rates)}; "
            f"{_kinds(self.channels)}; {_kinds(self.formats)}{sample}",
        ]

    def _class_sizes(self) -> list[str]:
        lines = []
        if few := [f"{la} ({n})" for la, n in self.labels.items() if n < FEW_RECORDINGS]:
            lines.append(
                f"Very few recordings of {', '.join(few[:MOST_LABELS_SHOWN])}: how well these are "
                "recognised can hardly be measured."
            )
        if max(self.labels.values()) > UNEQUAL_CLASSES * min(self.labels.values()):
            lines.append(
                "Classes differ in size, and accuracy favours the large ones. Perhaps: "
                "--set search.metric=val/balanced_accuracy --set params.balanced_sampling=true"
            )
        return lines

    def _low_rates(self, sample_rate: int) -> list[str]:
        low = {rate for _, rate in self.rates if rate < sample_rate}
        if not low:
            return []
        heard = f"{sample_rate / 1000:g} kHz"
        lines = [
            f"{min(low) / 1000:g} kHz recordings are resampled to {heard}, "
            f"but above {min(low) / 2000:g} kHz there is nothing to hear in them."
        ]
        share = {label: self._low_share(label, sample_rate) for label, _ in self.rates}
        most, least = max(share, key=share.__getitem__), min(share, key=share.__getitem__)
        if share[most] - share[least] > UNEQUAL_RATES:
            lines.append(
                f"Beware: {share[most]:.0%} of {most} are below {heard} and {share[least]:.0%} of "
                f"{least}; a model may learn to tell the recorders apart, not the classes."
            )
        return lines

    def _low_share(self, label: str, sample_rate: int) -> float:
        of_label = {rate: count for (of, rate), count in self.rates.items() if of == label}
        low = sum(count for rate, count in of_label.items() if rate < sample_rate)
        return low / sum(of_label.values())


def look(listing: Listing) -> Survey:
    """Read the headers of a data set's recordings. Raises UserError when none can be read."""
    clips = list({clip.path: clip for clip in listing.clips}.values())
    looked_at = clips[:: -(-len(clips) // MOST_LOOKED_AT)]
    seconds, problems = [], []
    formats, channels, rates = Counter[str](), Counter[str](), Counter[tuple[str, int]]()
    for clip in looked_at:
        try:
            header = read_header(clip.path)
        except BadAudio as reason:
            problems.append(f"{printable(clip.path)} {reason}")
            continue
        seconds.append(header.seconds)
        formats[header.format.lower()] += 1
        channels[CHANNELS.get(header.channels, f"{header.channels} channels")] += 1
        rates.update((label, header.sample_rate) for label in clip.labels)
    if not seconds:
        raise UserError(
            f"data.root: none of {len(looked_at)} recordings can be read: {problems[0]}. "
            "Readable are wav, flac, ogg and mp3."
        )
    labels = Counter(label for clip in clips for label in clip.labels)
    return Survey(len(clips), labels, np.array(seconds), formats, channels, rates)


def _kinds(counts: Counter[str]) -> str:
    """ "wav", or "wav 30, mp3 12" where there are several."""
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common())
