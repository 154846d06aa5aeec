"""What one chooses a chapter by: its first figure, and how long it takes."""

from __future__ import annotations

from ser_lib.paths import report_dir
from ser_lib.report.contents import contents_of, durations_s, keep_durations

PAGE = (
    '<section id="01_a" class="ser-chapter"><p>Words.</p><figure class="ser-figure" id="one">'
    '<img alt="Bars." height="3" src="data:x"></figure><figure class="ser-figure"><img alt="2" '
    'src="data:y"></figure></section><section id="02_b" class="ser-chapter">None.</section>'
)


def test_a_chapter_has_its_first_figure_and_the_minutes_of_the_last_reports():
    report_dir("ravdess").mkdir(parents=True)
    (report_dir("ravdess") / "report.html").write_text(PAGE)
    keep_durations(report_dir("demo"), "demo", {"01_a": 90.0})
    keep_durations(report_dir("ravdess"), "ravdess", {"01_a": 6.0, "02_b": 12.0})
    first, second = contents_of(["01_a", "02_b"]).to_numpy().tolist()
    assert first[0] == '<a href="01_a.ipynb">01_a</a>'
    assert 'alt="Bars." src="data:x"' in first[1]
    assert first[2:] == ["1.5", "0.1"]
    assert second[1:] == ["", "–", "0.2"]


def test_a_clone_without_reports_still_has_a_table():
    assert contents_of(["01_a"]).to_numpy().tolist()[0][1:] == ["", "–", "–"]


def test_times_of_the_demo_are_kept_beside_those_of_a_report_that_is_committed(tmp_path):
    keep_durations(report_dir("demo"), "demo", {"01_a": 90.0})
    # The second time nothing is trained.
    keep_durations(report_dir("demo"), "demo", {"01_a": 9.0})
    keep_durations(report_dir("ravdess"), "ravdess", {"01_a": 6.0})
    (report_dir("demo") / "durations.json").unlink()
    assert durations_s("demo") == {"01_a": 90.0}
    # A report that is made where there is no other keeps them.
    keep_durations(report_dir("ravdess"), "ravdess", {"01_a": 7.0})
    assert (durations_s("demo"), durations_s("ravdess")) == ({"01_a": 90.0}, {"01_a": 7.0})
