"""Augmentations: what they change, what they keep, and how far they are drawn."""

from __future__ import annotations

import sys
import warnings
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest

from ser_lib.audio import augmentation
from ser_lib.audio.augmentation import (
    AUGMENTATIONS,
    add_noise,
    apply_steps,
    augment,
    change_speed,
    shift_pitch,
    shift_time,
    stretch_time,
)
from ser_lib.errors import FeatureError

RATE_HZ = 22_050
# As boucheta2025 prints them in its section 2.4.
PUBLISHED_RANGES = {
    ("noise", "amplitude_ratio"): (0.0, 0.005),
    ("shift", "shift_s"): (-0.005, 0.005),
    ("shift_far", "shift_s"): (-5000 / 22050, 5000 / 22050),
    ("stretch", "rate"): (0.8, 1.2),
    ("pitch", "semitones"): (-2.0, 2.0),
}
BY_NAME = pytest.mark.parametrize("name", AUGMENTATIONS)
# Those that draw nothing: what they do is always the same.
FIXED = {
    "slower": {"factor": 0.9},
    "faster": {"factor": 1.1},
    "stretch_slow": {"rate": 0.8},
}


@pytest.fixture
def voice(tone):
    """A second of something with harmonics."""
    parts = [tone(180.0 * n, rate_hz=RATE_HZ, amplitude=0.3 / n) for n in (1, 2, 3)]
    return np.sum(parts, axis=0)


@BY_NAME
def test_an_augmentation_leaves_its_input_alone(name, voice, rng):
    before = voice.copy()
    augment(voice, RATE_HZ, name, rng=rng)
    np.testing.assert_array_equal(voice, before)


@BY_NAME
def test_an_augmentation_gives_a_finite_float32_signal_that_differs(name, voice):
    # Under this seed, mixed draws noise and stretch.
    result = augment(voice, RATE_HZ, name, rng=np.random.default_rng(3))
    assert result.dtype == np.float32
    assert result.ndim == 1
    assert np.isfinite(result).all()
    assert len(result) != len(voice) or not np.array_equal(result, voice)


@BY_NAME
def test_the_same_generator_gives_the_same_signal(name, voice):
    first, second = (
        augment(voice, RATE_HZ, name, rng=np.random.default_rng(seed)) for seed in (3, 3)
    )
    np.testing.assert_array_equal(first, second)
    third = augment(voice, RATE_HZ, name, rng=np.random.default_rng(4))
    if name in FIXED:
        np.testing.assert_array_equal(third, first)
        return
    assert len(third) != len(first) or not np.array_equal(third, first)


@BY_NAME
def test_augmenting_is_drawing_and_then_applying(name, voice):
    chosen = AUGMENTATIONS[name]
    drawn = chosen.draw(np.random.default_rng(5))
    np.testing.assert_array_equal(
        augment(voice, RATE_HZ, name, rng=np.random.default_rng(5)),
        chosen.apply(voice, RATE_HZ, **drawn),
    )


def test_every_drawn_parameter_has_a_published_range():
    drawn = {
        (name, parameter)
        for name, chosen in AUGMENTATIONS.items()
        for parameter in chosen.draw(np.random.default_rng(0))
        if name not in ("mixed", *FIXED)  # mixed draws from the others, see below
    }
    assert drawn - {("noise", "noise_seed")} == set(PUBLISHED_RANGES)


@pytest.mark.parametrize(("key", "limits"), PUBLISHED_RANGES.items())
def test_parameters_are_drawn_evenly_from_the_published_range(key, limits):
    name, parameter = key
    low, high = limits
    generator = np.random.default_rng(1)
    drawn = np.array([AUGMENTATIONS[name].draw(generator)[parameter] for _ in range(2000)])
    position = (drawn - low) / (high - low)
    assert position.min() >= 0
    assert position.max() <= 1
    # A uniform sample of 2,000 stays within 0.036 of the diagonal (Kolmogorov, p = 0.01).
    ideal = (np.arange(2000) + 0.5) / 2000
    assert np.abs(np.sort(position) - ideal).max() < 0.036


def test_an_unknown_augmentation_names_the_known_ones(voice, rng):
    with pytest.raises(FeatureError, match="echo"):
        augment(voice, RATE_HZ, "echo", rng=rng)


# --- noise


@pytest.mark.parametrize("amplitude_ratio", [0.001, 0.005])
@pytest.mark.parametrize("peak", [1.0, 0.1])
def test_the_noise_has_the_share_of_the_peak_that_was_asked_for(amplitude_ratio, peak):
    signal = np.zeros(100_000, dtype=np.float32)
    signal[500] = -peak
    noise = add_noise(signal, RATE_HZ, amplitude_ratio=amplitude_ratio, noise_seed=1) - signal
    expected = amplitude_ratio * peak
    # The standard error of a deviation from 100,000 samples is 0.22 %, that of the mean 0.32 %.
    assert noise.std() == pytest.approx(expected, rel=0.015)
    assert abs(noise.mean()) < 0.015 * expected
    # White: neighbours are not alike.
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.015


def test_no_amplitude_is_no_noise_and_silence_stays_silent(voice):
    unchanged = add_noise(voice, RATE_HZ, amplitude_ratio=0.0, noise_seed=1)
    np.testing.assert_array_equal(unchanged, voice.astype(np.float32))
    silence = np.zeros(100, dtype=np.float32)
    assert not add_noise(silence, RATE_HZ, amplitude_ratio=0.005, noise_seed=1).any()


# --- shift


@pytest.mark.parametrize("shift_s", [-0.005, -0.0012, 0.0, 0.0033, 0.005, 2.0])
def test_a_shift_keeps_all_samples_and_can_be_undone(voice, shift_s):
    shifted = shift_time(voice, RATE_HZ, shift_s=shift_s)
    np.testing.assert_array_equal(np.sort(shifted), np.sort(voice))
    np.testing.assert_array_equal(shift_time(shifted, RATE_HZ, shift_s=-shift_s), voice)


def test_a_positive_shift_is_later():
    click = np.zeros(1000)
    click[100] = 1.0
    assert shift_time(click, 1000, shift_s=0.05).argmax() == 150
    assert shift_time(click, 1000, shift_s=-0.2).argmax() == 900


# --- librosa, whose version 1.0 computes two of them otherwise


@pytest.mark.parametrize(("release", "raised"), [("0.11.0", 0), ("1.0.2", 1), ("1.3.0", 1)])
def test_only_what_librosa_computes_knows_its_major_version(release, raised, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda _: release)
    spec = spec_from_file_location("augmentation_again", augmentation.__file__)
    again = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, again)
    spec.loader.exec_module(again)
    versions = {name: one.version for name, one in again.AUGMENTATIONS.items()}
    of_librosa = ("stretch", "stretch_slow", "pitch", "mixed")
    assert versions == {name: 1 + raised * (name in of_librosa) for name in AUGMENTATIONS}


@pytest.mark.parametrize(
    ("call", "function"),
    [
        (lambda one: stretch_time(one, RATE_HZ, rate=1.1), "time_stretch"),
        (lambda one: shift_pitch(one, RATE_HZ, semitones=1.0), "pitch_shift"),
    ],
)
@pytest.mark.parametrize(("module", "is_hidden"), [("librosa.core.audio", True), ("a", False)])
def test_only_librosas_warnings_about_itself_are_hidden(
    call, function, module, is_hidden, voice, monkeypatch
):
    def warn(signal, **_):
        warnings.warn_explicit("of its own", FutureWarning, "a.py", 1, module=module)
        return signal

    monkeypatch.setattr(f"librosa.effects.{function}", warn)
    if is_hidden:
        call(voice)
    else:
        with pytest.raises(FutureWarning):
            call(voice)


# --- stretch


@pytest.mark.parametrize("rate", [0.8, 1.0, 1.2])
def test_a_stretch_divides_the_duration_and_keeps_the_pitch(tone, peak_frequency, rate):
    signal = tone(440.0, rate_hz=RATE_HZ, duration_s=2.0)
    stretched = stretch_time(signal, RATE_HZ, rate=rate)
    assert len(stretched) == round(len(signal) / rate)
    # A tenth of a semitone is 0.6 %.
    assert peak_frequency(stretched, RATE_HZ) == pytest.approx(440.0, rel=0.006)


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_rate_that_is_not_positive_is_refused(voice, rate):
    with pytest.raises(FeatureError, match=f"rate={rate} "):
        stretch_time(voice, RATE_HZ, rate=rate)


# --- speed


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_a_speed_divides_the_duration_and_multiplies_the_pitch(tone, peak_frequency, factor):
    signal = tone(440.0, rate_hz=RATE_HZ, duration_s=2.0)
    played = change_speed(signal, RATE_HZ, factor=factor)
    assert len(played) == pytest.approx(len(signal) / factor, abs=2)
    # A tenth of a semitone is 0.6 %.
    assert peak_frequency(played, RATE_HZ) == pytest.approx(440.0 * factor, rel=0.006)


@pytest.mark.parametrize(("name", "always"), FIXED.items())
def test_what_is_fixed_draws_nothing(name, always):
    drawn = [AUGMENTATIONS[name].draw(np.random.default_rng(seed)) for seed in (1, 2)]
    assert drawn == [always] * 2


@pytest.mark.parametrize("factor", [0.0, -0.9])
def test_a_speed_that_is_not_positive_is_refused(voice, factor):
    with pytest.raises(FeatureError, match=f"factor={factor} "):
        change_speed(voice, RATE_HZ, factor=factor)


# --- pitch


@pytest.mark.parametrize("semitones", [-12.0, -2.0, 0.0, 2.0, 12.0])
def test_a_pitch_shift_multiplies_the_frequency_and_keeps_the_duration(
    tone, peak_frequency, semitones
):
    signal = tone(440.0, rate_hz=RATE_HZ, duration_s=2.0)
    shifted = shift_pitch(signal, RATE_HZ, semitones=semitones)
    assert len(shifted) == len(signal)
    # A tenth of a semitone is 0.6 %.
    expected = 440.0 * 2 ** (semitones / 12)
    assert peak_frequency(shifted, RATE_HZ) == pytest.approx(expected, rel=0.006)


# --- mixed

FOUR = ("noise", "stretch", "pitch", "shift")


def draw_mixed(seed: int) -> dict[str, dict[str, float]]:
    return AUGMENTATIONS["mixed"].draw(np.random.default_rng(seed))["steps"]


def test_mixed_takes_each_of_four_with_probability_one_half_and_none_for_another():
    taken = np.array([[name in draw_mixed(seed) for name in FOUR] for seed in range(2000)])
    # Four standard errors of a share of one half over 2,000 draws.
    np.testing.assert_allclose(taken.mean(axis=0), 0.5, atol=4 * 0.5 / np.sqrt(2000))
    # Each of the sixteen sets is as likely as the next: 125 of 2,000, give or take 4 * 10.8.
    _, counts = np.unique(taken @ [1, 2, 4, 8], return_counts=True)
    assert len(counts) == 16
    assert np.abs(counts - 125).max() < 44
    # A set of steps that knew of each other would be correlated.
    assert np.abs(np.corrcoef(taken.T) - np.eye(4)).max() < 0.09


def test_mixed_draws_the_parameters_of_its_steps_from_their_published_ranges():
    for seed in range(200):
        for name, parameters in draw_mixed(seed).items():
            for parameter, value in parameters.items():
                if parameter == "noise_seed":
                    continue
                low, high = PUBLISHED_RANGES[name, parameter]
                assert low <= value <= high


def test_mixed_applies_its_steps_in_one_order():
    assert all(
        list(steps) == [name for name in FOUR if name in steps]
        for steps in map(draw_mixed, range(200))
    )


def test_no_step_leaves_the_signal_as_it_is(voice):
    seed = next(seed for seed in range(200) if not draw_mixed(seed))
    result = augment(voice, RATE_HZ, "mixed", rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(result, voice)


@pytest.mark.parametrize("name", FOUR)
def test_one_step_is_that_augmentation(voice, name):
    seed = next(seed for seed in range(500) if set(draw_mixed(seed)) == {name})
    result = augment(voice, RATE_HZ, "mixed", rng=np.random.default_rng(seed))
    alone = AUGMENTATIONS[name].apply(voice, RATE_HZ, **draw_mixed(seed)[name])
    np.testing.assert_array_equal(result, alone)


def test_steps_are_applied_one_after_the_other_as_they_stand(voice):
    steps = {"stretch": {"rate": 1.1}, "shift": {"shift_s": 0.005}}
    stretched = stretch_time(voice, RATE_HZ, rate=1.1)
    np.testing.assert_array_equal(
        apply_steps(voice, RATE_HZ, steps=steps),
        shift_time(stretched, RATE_HZ, shift_s=0.005),
    )
    # The twin: turned round they give another signal.
    turned = apply_steps(voice, RATE_HZ, steps=dict(reversed(steps.items())))
    assert not np.array_equal(turned, apply_steps(voice, RATE_HZ, steps=steps))
