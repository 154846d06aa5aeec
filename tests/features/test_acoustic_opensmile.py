"""ComParE functionals: what happens on the way to openSMILE, and without it.

openSMILE is optional: where it is not installed, what needs it is skipped. Its program crashed a
process in which much else was loaded: here a fresh process runs the tests that need it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from ser_lib.errors import FeatureError
from ser_lib.features import acoustic
from ser_lib.features.acoustic import N_FUNCTIONALS, compare_functionals
from ser_lib.features.extraction import feature_shape
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.paths import PROJECT_DIR
from ser_lib.runs.costs import measure_costs
from ser_lib.studies import OURS

RATE_HZ = 16_000


@pytest.fixture
def noise(rng):
    return (0.1 * rng.standard_normal(RATE_HZ)).astype(np.float32)


@pytest.fixture
def smile():
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("in a process of its own: test_what_needs_opensmile_passes_in_a_fresh_process")
    return pytest.importorskip("opensmile", reason="openSMILE is not installed (its licence)")


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    acoustic._opensmile.cache_clear()
    yield
    acoustic._opensmile.cache_clear()


def test_without_opensmile_it_says_how_to_install_it(without, noise):
    with pytest.raises(FeatureError, match=r"pip install .*opensmile"):
        compare_functionals(noise, RATE_HZ)


def test_the_shape_is_known_without_opensmile(without):
    assert feature_shape(FeatureSpec("compare_functionals")) == (6373,)


def test_costs_are_measured_without_it(without, few_clips):
    pytest.importorskip("keras", reason="belongs to training")
    assert measure_costs([OURS["compare2016"]], few_clips, n_clips=2).empty


@pytest.mark.parametrize(
    "signal", [np.zeros(0, np.float32), np.zeros((2, 99), np.float32), np.full(9999, np.nan)]
)
def test_what_is_no_signal_is_refused(signal):
    with pytest.raises(FeatureError):
        compare_functionals(signal, RATE_HZ)


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="this is that process")
def test_what_needs_opensmile_passes_in_a_fresh_process():
    if importlib.util.find_spec("opensmile") is None:
        pytest.skip("NOT CHECKED: openSMILE is not installed (its licence)")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        command, env=environment, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_what_opensmile_gives(smile, noise):
    direct = smile.Smile(
        feature_set=smile.FeatureSet.ComParE_2016, feature_level=smile.FeatureLevel.Functionals
    )
    expected = direct.process_signal(noise, RATE_HZ)
    found = compare_functionals(noise, RATE_HZ)
    assert found.shape == (len(direct.feature_names),) == (N_FUNCTIONALS,)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.to_numpy()[0])


def test_level_is_where_openSMILE_says(smile, noise):  # noqa: N802, its own spelling
    names = acoustic._opensmile().feature_names
    place = names.index("pcm_RMSenergy_sma_amean")
    loud, soft = compare_functionals(noise, RATE_HZ), compare_functionals(noise / 2, RATE_HZ)
    assert loud[place] == pytest.approx(2 * soft[place], rel=0.01)


def test_samples_of_full_scale_are_not_turned_into_their_opposite(smile):
    tone = 1.2 * np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    full, below = tone.clip(-1, 1), tone.clip(-1, 32767 / 32768)
    np.testing.assert_array_equal(
        compare_functionals(full, RATE_HZ), compare_functionals(below, RATE_HZ)
    )
    given = (acoustic._opensmile().process_signal(one, RATE_HZ) for one in (full, below))
    assert not np.array_equal(*given)


@pytest.mark.parametrize("n_samples", [1, 320, 4_799, 4_800])
def test_the_shortest_clips_have_finite_functionals(smile, noise, n_samples):
    assert np.isfinite(compare_functionals(noise[:n_samples], RATE_HZ)).all()


def test_silence_has_finite_functionals(smile):
    assert np.isfinite(compare_functionals(np.zeros(RATE_HZ, np.float32), RATE_HZ)).all()


def test_a_change_of_what_it_gives_raises_its_version(smile):
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    swept = 0.4 * np.sin(2 * np.pi * (150 + 60 * time_s) * time_s) * np.hanning(len(time_s))
    values = compare_functionals(swept.astype(np.float32), RATE_HZ).astype(float)
    assert FEATURES["compare_functionals"].version == 2
    assert np.median(np.abs(values)) == pytest.approx(0.382653, rel=1e-3)
