"""What a search and a retraining share on the driver: data, display, MLflow, the run itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from tune_audio.claims import Claims
from tune_audio.cli import go_on
from tune_audio.data.clips import SPLITS
from tune_audio.data.corpus import Corpus
from tune_audio.data.duplicates.found import COLUMNS
from tune_audio.data.load import load_corpus
from tune_audio.data.loud import told
from tune_audio.data.progress import say
from tune_audio.errors import UserError
from tune_audio.escaping import as_csv
from tune_audio.evidence.calibration import Calibration
from tune_audio.machine.cached import in_use, most_bytes
from tune_audio.machine.environment import prepare
from tune_audio.machine.folders import cache_folder, network_file_system
from tune_audio.machine.publish import publish_text
from tune_audio.reporting.markdown import note
from tune_audio.reporting.progress import Progress
from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import TrialRecord
from tune_audio.run_copy import RunCopy
from tune_audio.run_folder import RunFolder
from tune_audio.space import SearchSpace
from tune_audio.tracking.mirror import Mirror, Status, status_of
from tune_audio.training.metrics import direction
from tune_audio.tuning.backup import restore_if_damaged
from tune_audio.tuning.demo import is_demonstration
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage

NONE: Mapping[str, Calibration] = {}


class Driver:
    """One run folder being worked on: its data, its display and its mirror in MLflow.

    cache_gb: most that cached features may take on disk; None for half of what is free.
    storage: where a copy of the run's folder is kept; None for where it was before, if anywhere.
    mlflow: whether MLflow has it, too.
    """

    def __init__(
        self,
        run: RunFolder,
        space: SearchSpace,
        console: Console,
        cache_gb: float | None = None,
        storage: str | None = None,
        mlflow: bool = True,
    ) -> None:
        self.run, self.space, self.console, self.cache_gb = run, space, console, cache_gb
        self.metric, self.direction = space.search.metric, direction(space.search.metric)
        self.demonstration = is_demonstration(space)
        self._storage, self.mlflow = storage, mlflow
        self._copy: RunCopy | None = None
        self._mirror: Mirror | None = None
        self.finished = False  # set when everything asked for has been run
        self.searched: Ranking | None = None  # what the search's run in MLflow is to say at its end
        self.retrained: list[TrialRecord] = []
        self.claims = Claims()

    def __enter__(self) -> "Driver":
        if self._storage is None and self.run.storage.exists():
            self._storage = self.run.storage.read_text()
        if kind := network_file_system(self.run.path):
            self.console.print(
                f"{self.run.path} lies on {kind}: every epoch waits for it. Quicker: "
                f"TUNE_AUDIO_RUNS=LOCAL_FOLDER, and --storage {self.run.path.parent} for a copy",
                soft_wrap=True,
            )
        if self.run.space.exists():  # it was begun, with a database
            restore_if_damaged(self.run.database, say)
        if self._storage is not None:
            self._copy = RunCopy(self.run, self._storage, say)
            self._copy.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            self._close_mirror(kind)
        finally:  # who is tired of waiting for MLflow has the copy nevertheless
            if self._copy is not None:
                self._copy.close()
                if self._copy.complaint:
                    self.console.print(f"Copy      {self._copy.complaint}")

    def _close_mirror(self, kind: type | None) -> None:
        if self._mirror is None:
            return
        run = self.run
        files = [run.leaderboard, run.best, run.claims, run.space, run.skipped, run.duplicates]
        summary, text = {}, ""
        if self.searched is not None and self.searched.best:
            summary = self.searched.best_values | self.claims.bounds(self.searched)
            text = note(self.searched, self.retrained, self.claims.intervals)
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            status: Status = "FAILED"
        elif not self.finished:
            status = "KILLED"
        else:
            status = status_of(self.searched.records if self.searched else (), self.retrained)
        if complaint := self._mirror.close(status, summary, files, text):
            self._say(f"{complaint}; {go_on(self.run.name)} writes it")

    def _say(self, line: str) -> None:
        """What is to be known of MLflow, while trials run or not."""
        self.console.print(f"MLflow    {line}", soft_wrap=True, markup=False, highlight=False)

    def connect(self) -> None:
        """The run in MLflow, from now on RUNNING; a mistake found before leaves it as it was.

        Raises UserError where MLflow cannot be written: no trial is to begin.
        """
        if self._mirror is None and self.mlflow:
            name = f"{self.space.name}-demonstration" if self.demonstration else self.space.name
            tags = {"run": self.run.name, "demonstration": str(self.demonstration).lower()}
            self._mirror = Mirror(
                name,
                self.run.id,
                self.space.to_dict(),
                metric=self.metric,
                direction=self.direction,
                tags=tags,
                say=self._say,
            )

    def hear(self, *records: TrialRecord) -> None:
        """Have MLflow, where it has this search, know of them soon."""
        if self._mirror is not None:
            for record in records:
                self._mirror.mirror(record)

    def check_models(self) -> int:
        """The exit code of a retraining that has ended: 1, and why, where a family has no model."""
        done = {record.family for record in self.retrained if record.state == "complete"}
        why = {record.family: record.extra.get("error") for record in self.retrained}
        lacking = [name for name in self.space.families if self.retrained and name not in done]
        for family in lacking:
            reason = why.get(family, "none of its trials has a result")
            self.console.print(f"{family} has no model: {reason}", soft_wrap=True, markup=False)
        if lacking:
            again = f"{go_on(self.run.name)} --retry-failed"
            self.console.print(f"What failed is run once more by: {again}", soft_wrap=True)
        return 1 if lacking else 0

    def rank(self, records: Sequence[TrialRecord]) -> Ranking:
        """Trials as this search compares them."""
        return Ranking(records, self.metric, self.direction)

    def search_storage(self, corpus: Corpus, *, retry_failed: bool = False) -> Storage:
        """The studies of the search itself: all of a grid, or so many trials a family."""
        search = self.space.search
        plans = [
            Plan(family, family.grid() if search.sampler == "grid" else None, search.trials)
            for family in self.space.families.values()
        ]
        return Storage(
            self.run.database,
            plans,
            search,
            epochs=self.space.epochs,
            corpus=corpus.fingerprint,
            retry_failed=retry_failed,
        )

    def write_notes(self, corpus: Corpus) -> None:
        """List the files of the data set that could not be used, and those that belong together."""
        _write_table(self.run.skipped, ("path", "reason"), corpus.skipped)
        found = corpus.duplicates
        _write_table(self.run.duplicates, COLUMNS, found.rows() if found else [])

    def execute(
        self,
        storage: Storage,
        corpus: Corpus,
        folder: Path,
        *,
        test: bool = False,
        train_on: str = "train",
        calibrations: Mapping[str, Calibration] = NONE,
    ) -> list[TrialRecord]:
        """Run what the storage has to hand out, shown on screen and mirrored to MLflow."""
        prepare()
        # Ray is loaded once everything else is known to be right.
        from tune_audio.tuning.study import run

        self.connect()
        totals, cache = storage.totals(), cache_folder()
        with Progress(
            self.metric, self.direction, storage.total_epochs, console=self.console
        ) as progress:

            def on_change(record: TrialRecord) -> None:
                progress.update(storage.records(), totals)
                self.hear(record)

            self.hear(*storage.records())  # after a resume of every trial
            progress.update(storage.records(), totals)
            if not storage.finished():
                with in_use(corpus.folder):
                    run(
                        storage,
                        corpus,
                        folder,
                        features=cache / "features",
                        feature_bytes=most_bytes("features", self.cache_gb, cache),
                        cache_gb=self.cache_gb,
                        test=test,
                        train_on=train_on,
                        calibrations=calibrations,
                        demonstration=self.demonstration,
                        on_change=on_change,
                    )
        return storage.records()


def _write_table(path: Path, header: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    """A CSV; no file where it has no rows."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    publish_text(path, as_csv([header, *rows]))


def open_data(
    space: SearchSpace, console: Console, cache_gb: float | None = None, labels: str = "same"
) -> Corpus:
    """The space's corpus, decoded or read from the cache; labels="all" for all that there are."""
    data = dict(space.data)
    if labels == "all":
        data |= {"labels": "all", "clips_per_label": None}
    name, root = data.pop("name"), data.pop("root", None)
    if root is None:
        raise UserError(
            f"data.root: the space does not say where {name} lies; give its folder with "
            "--data FOLDER, or have it fetched with --download"
        )
    cache = cache_folder()
    limit = most_bytes("corpora", cache_gb, cache)
    corpus = load_corpus(name, root, cache=cache, progress=True, most_bytes=limit, **data)
    train, validation, test = (len(corpus.rows(split)) for split in SPLITS)
    console.print(
        f"{len(corpus.labels)} labels; {train:,} clips to train on, {validation:,} to select by, "
        f"{test:,} to test on"
        + (f"; {len(corpus.skipped)} files could not be used" if corpus.skipped else "")
    )
    if corpus.loud:
        otherwise = "; scaled instead: --set data.peak=normalise" * (corpus.peak == "keep")
        console.print(told(corpus.loud, corpus.peak) + otherwise, soft_wrap=True)
    if corpus.duplicates and labels == "same":  # those of a retraining have been told before
        for line in corpus.duplicates.lines():
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    return corpus
