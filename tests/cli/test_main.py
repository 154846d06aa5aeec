"""The `ser` command: it trains once, reads afterwards, and says what is where."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from click.testing import CliRunner

from ser_lib import __version__, data, studies
from ser_lib.cli import main as command
from ser_lib.data.splits import Protocol
from ser_lib.errors import CorpusError, SerError, SplitError
from ser_lib.features.registry import FeatureSpec
from ser_lib.paths import PROJECT_DIR
from ser_lib.runs import runner as runs

LINE = (
    r"tiny dummy {protocol}: UAR 50\.0 % \[50\.0, 50\.0\], WA \d+\.\d % \[.*\], "
    r"\d+ rows of 6 speakers, {n_seeds} seed\(s\)"
)


@pytest.fixture
def fitted(monkeypatch):
    """A list that grows with every fit."""
    calls = []
    fit = runs.fit_fold
    monkeypatch.setattr(runs, "fit_fold", lambda *a, **k: calls.append(1) or fit(*a, **k))
    return calls


@pytest.fixture
def call(monkeypatch, few_clips):
    """Return a function that calls `ser run tiny` on few clips, in this process."""
    whole = studies.STUDIES["boucheta2025"]
    quick = FeatureSpec("waveform_envelope", params={"duration_s": 0.3, "n_points": 8})
    tiny = replace(
        whole,
        name="tiny",
        models=tuple(
            replace(one, features=quick) for one in whole.models if one.name in ("dummy", "knn")
        ),
        honest_protocol=Protocol("loso"),
        augmentations=(),
        seeds=(1, 2),
    )
    monkeypatch.setitem(studies.STUDIES, "tiny", tiny)
    monkeypatch.setattr(data, "load_corpus", lambda name, strict: few_clips)

    def run(*arguments: str):
        return CliRunner().invoke(command.app, ["run", "tiny", *arguments])

    return run


def test_a_run_says_its_score_in_one_line(call, fitted):
    result = call("--model", "dummy", "--protocol", "honest")
    assert result.exit_code == 0, result.output
    # A majority class of two is always predicted, the other never.
    assert re.fullmatch(LINE.format(protocol="honest", n_seeds=2), result.output.strip())
    assert len(fitted) == 2 * 6


def test_a_second_call_reads_what_is_stored(call, fitted):
    first = call("--model", "dummy", "--protocol", "honest")
    second = call("--model", "dummy", "--protocol", "honest")
    assert second.output == first.output
    assert len(fitted) == 2 * 6


def test_without_options_all_models_run_under_both_protocols(call):
    result = call("--n-seeds", "1")
    starts = [line.split(":")[0] for line in result.output.splitlines()]
    assert starts == [
        *("tiny knn honest", "tiny knn published"),
        *("tiny dummy honest", "tiny dummy published"),
    ]


def test_clips_that_cannot_be_divided_by_speaker_are_not_trained_on(call, fitted, monkeypatch):
    load = data.load_corpus
    monkeypatch.setattr(data, "load_corpus", lambda *a, **k: load(*a, **k).assign(speaker="ann"))
    assert isinstance(call("--model", "dummy").exception, SplitError)
    assert fitted == []


def test_a_stopped_run_says_that_it_can_go_on(call, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "run_study", stop)
    stopped = call("--model", "dummy")
    assert stopped.exit_code == 130
    assert "goes on after the last stored fold" in stopped.output


def test_after_its_minutes_a_run_stops_and_says_what_goes_on(call, fitted, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/ser", "run", "a study"])
    stopped = call("--model", "dummy", "--protocol", "honest", "--max-minutes", "1e-6")
    assert stopped.exit_code == 75
    assert "5 of 6 folds have not begun" in stopped.output
    assert "goes on with: ser run 'a study'" in stopped.output
    assert len(fitted) == 1
    # The next command of this process has no limit.
    assert call("--model", "dummy", "--protocol", "honest").exit_code == 0


def test_other_recordings_than_those_of_stored_runs_are_reported(call, monkeypatch):
    monkeypatch.setattr(data, "other_recordings", lambda *_: "3 of 3 are other files")
    assert "3 of 3 are other files" in call("--model", "dummy", "--protocol", "honest").output


def test_a_study_of_ours_runs_under_its_one_protocol(call, monkeypatch):
    monkeypatch.setitem(studies.OURS, "tiny", studies.STUDIES["tiny"])
    result = call("--n-seeds", "1", "--model", "knn")
    assert [line.split(":")[0] for line in result.output.splitlines()] == ["tiny knn honest"]


def test_corpora_left_out_each_have_a_line_and_their_mean_another(monkeypatch):
    # The stored runs, without any audio.
    monkeypatch.setenv("SER_REPORTS", str(PROJECT_DIR / "reports"))
    arguments = ["--model", "strangers_known", "--protocol", "leave_corpus_out_norm_room30"]
    result = CliRunner().invoke(command.app, ["run", "moonshine", *arguments, "--n-seeds", "1"])
    assert result.exit_code == 0, result.output
    *lines, last = result.output.splitlines()
    percent = [float(re.search(r"UAR (\S+) %", line).group(1)) for line in [*lines, last]]
    assert len(lines) == len(set(lines)) == 7
    assert percent[-1] == pytest.approx(sum(percent[:-1]) / 7, abs=0.1)
    assert "mean of 7 corpora" in last


def test_options_may_be_repeated(call):
    result = call("--model", "knn", "--model", "dummy", "--protocol", "loso", "--n-seeds", "1")
    assert [line.split(":")[0] for line in result.output.splitlines()] == [
        *("tiny knn loso", "tiny dummy loso"),
    ]


def test_an_error_of_ours_is_one_message_and_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ser", "run", "swart2025", "--corpus", "radvess"])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 1
    streams = capsys.readouterr()
    assert streams.err.startswith("ser: unknown corpus 'radvess'; known are demo")
    assert "Traceback" not in streams.out + streams.err


@pytest.mark.parametrize("name", ["--out=a.csv", "-x.wav", "--help"])
def test_a_file_with_the_name_of_an_option_is_not_taken_for_one(
    monkeypatch, capsys, tmp_path, name
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    for arguments, refused in ((["predict", name], 1), (["predict", "--", name], 0)):
        monkeypatch.setattr(sys, "argv", ["ser", *arguments])
        monkeypatch.setattr(command, "app", lambda **_: sys.exit(0))
        with pytest.raises(SystemExit) as caught:
            command.main()
        assert caught.value.code == refused
        assert (f"./{name}" in capsys.readouterr().err) == bool(refused)


@pytest.mark.parametrize(
    "arguments", [["audit", ""], ["run", "x", "--table", ""], ["run", "--table="]]
)
def test_an_empty_argument_is_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ser", *arguments])
    monkeypatch.setattr(command, "app", lambda **_: pytest.fail("was run"))
    with pytest.raises(SystemExit):
        command.main()
    assert "empty" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["nan", "inf", "-1"])
def test_minutes_are_a_number(call, minutes):
    assert call("--model", "dummy", "--max-minutes", minutes).exit_code == 2


def test_an_error_of_the_system_is_one_message_too(monkeypatch, capsys):
    def fail(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.csv")

    monkeypatch.setattr(sys, "argv", ["ser"])
    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 1
    assert "a.csv" in capsys.readouterr().err


def test_settings_of_the_user_for_libraries_do_not_reach_commands(monkeypatch):
    for name in ("KERAS_BACKEND", "MATPLOTLIBRC", "MPLBACKEND"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setattr(sys, "argv", ["ser"])
    monkeypatch.setattr(command, "app", lambda **_: None)
    command.main()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert not os.environ["MATPLOTLIBRC"]
    assert "MPLBACKEND" not in os.environ


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("is_ignored", [False, True])
def test_a_command_that_is_ended_tidies_up_unless_that_is_ignored(monkeypatch, name, is_ignored):
    number, tidied = getattr(signal, name), []

    def wait(**_: object) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            tidied.append(name)

    monkeypatch.setattr(sys, "argv", ["ser"])
    monkeypatch.setattr(command, "app", wait)
    before = signal.signal(number, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
    try:
        if is_ignored:
            command.main()
        else:
            with pytest.raises(SystemExit) as caught:
                command.main()
            assert caught.value.code == 128 + number
    finally:
        signal.signal(number, before)
    assert tidied == [name]


def test_without_a_standard_output_a_command_does_its_work(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "argv", ["ser"])
    monkeypatch.setattr(command, "app", lambda **_: sys.stdout.write("done") and None)
    command.main()
    sys.stdout.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_terminal_gets_the_whole_answer(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "argv", ["ser"])
    monkeypatch.setattr(command, "app", lambda **_: print("… 日本 ×", "the end", flush=True))
    command.main()
    assert raw.getvalue().decode(encoding).endswith("the end\n")


def test_another_error_is_not_hidden(monkeypatch):
    def fail(name: str, strict: bool) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(data, "load_corpus", fail)
    monkeypatch.setattr(sys, "argv", ["ser", "run", "swart2025"])
    with pytest.raises(ZeroDivisionError):
        command.main()


def test_an_unknown_option_is_refused():
    result = CliRunner().invoke(command.app, ["run", "swart2025", "--epochs", "3"])
    assert result.exit_code == 2


@pytest.mark.parametrize("name", ["run"])
def test_a_command_is_in_the_help_and_in_the_modules_docstring(name):
    assert name in CliRunner().invoke(command.app, ["--help"]).output
    assert f"ser {name}" in command.__doc__


def test_every_command_of_the_docstring_exists():
    promised = set(re.findall(r"^\s*ser (\w+)", command.__doc__, flags=re.MULTILINE))
    existing = set(command.app.commands)
    assert promised == existing


def test_a_training_that_is_refused_names_the_study(call, monkeypatch):
    def refuse(*_args: object, **_options: object) -> None:
        raise SerError("refused")

    monkeypatch.setattr("ser_lib.runs.runner.run_study", refuse)
    assert isinstance(call("--model", "dummy").exception, SerError)


def test_data_says_what_is_there_and_where_the_rest_belongs(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    result = CliRunner().invoke(command.app, ["data"])
    assert result.exit_code == 0
    assert "complete, 384 clips of 12 speakers" in result.output
    assert f"no folder {tmp_path / 'ravdess'}" in result.output
    assert "zenodo.1188976" in result.output


def test_data_refuses_an_unknown_corpus():
    result = CliRunner().invoke(command.app, ["data", "ravdes"])
    assert isinstance(result.exception, CorpusError)


@pytest.mark.parametrize("is_complete", [True, False])
def test_report_tells_where_it_is_and_fails_with_its_notebooks(monkeypatch, tmp_path, is_complete):
    made = SimpleNamespace(
        path=tmp_path / "report.html",
        results_path=tmp_path / "results.json",
        failures=() if is_complete else ("03_x, code cell 2: ValueError: no",),
        is_complete=is_complete,
    )
    asked = []
    monkeypatch.setattr(
        "ser_lib.report.build.build_report", lambda corpus, **options: asked.append(options) or made
    )
    result = CliRunner().invoke(command.app, ["report", "demo", "--no-strict"])
    assert result.exit_code == (0 if is_complete else 1)
    assert asked == [{"profile": None, "parameters": {"strict": False}}]
    assert str(made.path) in result.output
    assert "not results about people" in result.output
    assert ("ValueError: no" in result.output) != is_complete


def test_costs_are_measured_for_the_studies_of_a_corpus(monkeypatch, few_clips):
    asked = []

    def measure(chosen, clips, *, n_clips):
        asked.append(({one.name for one in chosen}, len(clips), n_clips))
        return pd.DataFrame({"model": ["knn"], "feature_ms": [1.25]})

    monkeypatch.setattr("ser_lib.runs.costs.measure_costs", measure)
    monkeypatch.setattr(data, "load_corpus", lambda *_: few_clips)
    result = CliRunner().invoke(command.app, ["costs", "demo", "--n-clips", "3"])
    assert result.exit_code == 0
    assert "1.25" in result.output
    assert asked == [({*studies.STUDIES, *studies.OURS}, 24, 3)]


def test_the_version_is_that_of_the_package():
    done = CliRunner().invoke(command.app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"ser-lib {__version__}\n")
