"""Spectral features: against their formulas, and against librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.fft

from ser_lib.audio.io import load_signal
from ser_lib.features.registry import FEATURES
from ser_lib.features.spectral import (
    _mel_matrix,
    _mel_power,
    _power_to_db,
    log_mel,
    mel_chunks,
    mel_frames,
    mel_picture,
    mel_square,
    mfcc_zcr_rms,
)
from ser_lib.plots.style import STYLE_FILE

RATE_HZ = 22_050
N_FFT, HOP = 2048, 512


@pytest.fixture(scope="module")
def voice(demo_clips):
    """A demo clip at 22,050 Hz."""
    return load_signal(demo_clips["path"][5], sample_rate_hz=RATE_HZ)[0]


@pytest.fixture
def noise(rng):
    return rng.normal(0.0, 0.1, RATE_HZ).astype(np.float32)


# --- the formulas, written naively


def hz_to_mel(frequency_hz):
    """Slaney (1998), Auditory Toolbox: linear below 1 kHz, 27 logarithmic steps per factor 6.4."""
    linear = 3 * np.asarray(frequency_hz, dtype=float) / 200
    above = 15 + 27 * np.log(np.maximum(frequency_hz, 1e-9) / 1000) / np.log(6.4)
    return np.where(linear < 15, linear, above)


def mel_to_hz(mel):
    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def naive_frames(signal, *, mode):
    padded = np.pad(signal.astype(float), N_FFT // 2, mode=mode)
    return [padded[at : at + N_FFT] for at in range(0, len(padded) - N_FFT + 1, HOP)]


def naive_mel_power(signal, rate_hz, *, n_mels=128, f_max_hz=None):
    """Triangles of unit area over the power spectrum of Hann-windowed frames."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    frames = naive_frames(signal, mode="constant")
    power = np.array([np.abs(np.fft.rfft(window * frame)) ** 2 for frame in frames]).T
    f_max_hz = f_max_hz or rate_hz / 2
    edges_hz = mel_to_hz(np.linspace(0, hz_to_mel(f_max_hz), n_mels + 2))
    bins_hz = np.arange(N_FFT // 2 + 1) * rate_hz / N_FFT
    bands = []
    for low, centre, high in zip(edges_hz, edges_hz[1:], edges_hz[2:], strict=False):
        rise, fall = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
        bands.append(np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low))
    return np.array(bands) @ power


def naive_db(power, *, reference):
    level = 10 * np.log10(np.maximum(power, 1e-10) / max(reference, 1e-10))
    return np.maximum(level, level.max() - 80)


# --- log-mel


@pytest.mark.parametrize("form", [{}, {"n_mels": 40}, {"f_max_hz": 8000.0}])
def test_log_mel_is_the_formula(voice, form):
    power = naive_mel_power(voice, RATE_HZ, **form)
    expected = naive_db(power, reference=power.max())
    # The library works in float32; at 80 dB below the maximum that is worth some hundredths.
    np.testing.assert_allclose(log_mel(voice, RATE_HZ, **form), expected, atol=0.05)


@pytest.mark.parametrize("frequency_hz", [200.0, 440.0, 1000.0, 4000.0, 9000.0])
def test_a_tone_lands_in_its_band(tone, frequency_hz):
    level = log_mel(tone(frequency_hz, rate_hz=RATE_HZ), RATE_HZ)
    centres_hz = mel_to_hz(np.linspace(0, hz_to_mel(RATE_HZ / 2), 130))[1:-1]
    nearest = np.abs(centres_hz - frequency_hz).argmin()
    loudest = np.median(level.argmax(axis=0))
    # Below 1 kHz a band (two bins wide) may lie between two bins of the spectrum.
    assert abs(loudest - nearest) <= 1


@pytest.mark.parametrize("n_samples", [2048, 22_050, 22_527, 22_528])
def test_log_mel_has_one_frame_a_hop_and_one_more(rng, n_samples):
    level = log_mel(rng.normal(size=n_samples).astype(np.float32), RATE_HZ)
    assert level.shape == (128, 1 + n_samples // 512)
    assert level.dtype == np.float32
    assert level.max() == 0
    assert level.min() >= -80


def test_a_shorter_hop_gives_more_frames(noise):
    assert log_mel(noise, RATE_HZ, hop_samples=256).shape == (128, 1 + RATE_HZ // 256)


@pytest.mark.parametrize("gain", [0.01, 0.5, 3.0])
def test_log_mel_does_not_know_the_loudness(noise, gain):
    # Rounding of float32 products only.
    np.testing.assert_allclose(log_mel(gain * noise, RATE_HZ), log_mel(noise, RATE_HZ), atol=1e-3)


# --- MFCC, zero crossings, RMS


def test_frames_hold_zero_crossings_then_rms_then_mfcc(voice):
    fixed = np.pad(voice, (0, max(0, 55_125 - len(voice))))[:55_125]
    frames = mfcc_zcr_rms(voice, RATE_HZ)
    assert frames.shape == (1 + 55_125 // HOP, 42)
    assert frames.dtype == np.float32

    edged = naive_frames(np.where(np.abs(fixed) <= 1e-10, 0, fixed), mode="edge")
    crossings = [np.mean(np.append(False, np.diff(np.signbit(one)))) for one in edged]
    np.testing.assert_allclose(frames[:, 0], crossings, atol=1e-7)

    padded = naive_frames(fixed, mode="constant")
    rms = [np.sqrt(np.mean(one**2)) for one in padded]
    np.testing.assert_allclose(frames[:, 1], rms, atol=1e-6)

    level = naive_db(naive_mel_power(fixed, RATE_HZ), reference=1.0)
    cepstrum = scipy.fft.dct(level, type=2, axis=0, norm="ortho")[:40]
    # Float32 sums of 128 levels of up to 80 dB.
    np.testing.assert_allclose(frames[:, 2:], cepstrum.T, atol=0.05)


def test_doubling_the_loudness_moves_only_the_first_coefficient(noise):
    quiet, loud = (mfcc_zcr_rms(gain * noise, RATE_HZ, duration_s=1.0)[:, 2:] for gain in (1, 2))
    change = loud - quiet
    # A type-II DCT puts a constant (6.02 dB in 128 bands) into coefficient 0 and nowhere else.
    np.testing.assert_allclose(change[:, 0], 20 * np.log10(2) * np.sqrt(128), rtol=1e-3)
    np.testing.assert_allclose(change[:, 1:], 0, atol=2e-3)


@pytest.mark.parametrize("frequency_hz", [100.0, 1000.0])
def test_a_tone_crosses_zero_twice_a_period(tone, frequency_hz):
    frames = mfcc_zcr_rms(tone(frequency_hz, rate_hz=RATE_HZ), RATE_HZ, duration_s=1.0)
    # One crossing more or less in a frame of 2,048 samples.
    assert frames[20, 0] == pytest.approx(2 * frequency_hz / RATE_HZ, abs=1 / 2048)
    assert frames[20, 1] == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("n_samples", [1000, 55_125, 80_000])
def test_frames_of_all_clips_are_alike_whatever_their_length(rng, n_samples):
    assert mfcc_zcr_rms(rng.normal(size=n_samples), RATE_HZ).shape == (108, 42)


@pytest.mark.parametrize("n_mfcc", [13, 20])
def test_fewer_coefficients_are_the_first_ones(noise, n_mfcc):
    few = mfcc_zcr_rms(noise, RATE_HZ, n_mfcc=n_mfcc)
    np.testing.assert_array_equal(few, mfcc_zcr_rms(noise, RATE_HZ)[:, : 2 + n_mfcc])


def test_padded_frames_are_those_of_the_padded_signal(noise):
    padded = np.pad(noise, (0, 1000))
    np.testing.assert_array_equal(mfcc_zcr_rms(noise, RATE_HZ), mfcc_zcr_rms(padded, RATE_HZ))


@pytest.mark.parametrize("name", ["log_mel", "mfcc_zcr_rms"])
def test_a_fixed_length_is_that_of_the_cropped_or_padded_signal(noise, name):
    function = FEATURES[name].function
    for duration_s, expected in ((0.5, noise[:11_025]), (2.0, np.pad(noise, (0, RATE_HZ)))):
        fixed = function(noise, RATE_HZ, duration_s=duration_s)
        np.testing.assert_array_equal(fixed, function(expected, RATE_HZ, duration_s=duration_s))
        assert fixed.shape == function(np.tile(noise, 3), RATE_HZ, duration_s=duration_s).shape


# --- pictures and squares


# One frame is not drawn; where 112 or 448 fill 224 pixels, edges are half way between two.
@pytest.mark.parametrize("n_frames", [1, 2, 64, 112, 131, 300, 448])
@pytest.mark.parametrize(("side_px", "n_mels"), [(224, 128), (100, 40)])
def test_the_picture_is_the_png_that_the_study_saves_and_reads_again(
    tmp_path, voice, n_frames, side_px, n_mels
):
    import librosa.display
    import matplotlib.pyplot as plt

    signal = np.tile(voice, 9)[: (n_frames - 1) * HOP + 300]
    level_db = log_mel(signal, RATE_HZ, n_mels=n_mels)
    assert level_db.shape[1] == n_frames
    with plt.rc_context():
        plt.rcdefaults()
        figure = plt.figure(figsize=(side_px / 100, side_px / 100))
        axes = plt.axes((0, 0, 1, 1))
        librosa.display.specshow(level_db, ax=axes)
        plt.axis("off")
        figure.savefig(tmp_path / "saved.png", dpi=100)
        plt.close(figure)
    read_again = np.round(plt.imread(tmp_path / "saved.png")[..., :3] * 255).astype(np.uint8)
    picture = mel_picture(signal, RATE_HZ, side_px=side_px, n_mels=n_mels)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, read_again)


def test_the_picture_does_not_depend_on_the_style_of_the_figures(voice):
    import matplotlib.pyplot as plt

    plain = mel_picture(voice, RATE_HZ)
    with plt.style.context(["dark_background", STYLE_FILE]), plt.rc_context({"figure.dpi": 37}):
        np.testing.assert_array_equal(mel_picture(voice, RATE_HZ), plain)


def test_low_tones_are_at_the_bottom_of_the_picture_and_at_the_top_of_the_square(tone):
    low = tone(300.0, rate_hz=RATE_HZ)
    brightness = mel_picture(low, RATE_HZ).sum(axis=(1, 2), dtype=float)
    assert brightness.argmax() > 180
    square = mel_square(low, RATE_HZ)
    assert square.mean(axis=(1, 2)).argmax() < 30


@pytest.mark.parametrize("side_px", [16, 128, 200])
@pytest.mark.parametrize("n_samples", [3000, 22_050, 90_000])
def test_the_square_is_square_and_between_0_and_1_for_any_length(rng, side_px, n_samples):
    square = mel_square(rng.normal(size=n_samples).astype(np.float32), RATE_HZ, side_px=side_px)
    assert square.shape == (side_px, side_px, 1)
    assert square.dtype == np.float32
    assert square.min() >= 0
    assert square.max() <= 1


def test_a_clip_of_128_frames_is_not_resized_at_all(rng):
    signal = rng.normal(size=127 * HOP).astype(np.float32)
    expected = log_mel(signal, RATE_HZ) / 80 + 1
    np.testing.assert_allclose(mel_square(signal, RATE_HZ)[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("position", [0.25, 0.5, 0.75])
def test_time_fills_the_width_of_the_square(rng, position):
    signal = rng.normal(0, 1e-4, 3 * RATE_HZ).astype(np.float32)
    at = round(position * len(signal))
    signal[at : at + 1000] += rng.normal(0, 1, 1000)
    column = mel_square(signal, RATE_HZ)[..., 0].mean(axis=0).argmax()
    # The burst is 45 ms wide and a column 23 ms: two or three columns.
    assert column / 128 == pytest.approx(position, abs=0.03)


# --- frames and chunks


@pytest.mark.parametrize("n_samples", [3000, 22_050, 66_048, 66_560, 150_000])
def test_frames_are_the_log_mel_in_time_cut_or_filled_up_with_silence(rng, n_samples):
    signal = rng.normal(size=n_samples).astype(np.float32)
    level = log_mel(signal, RATE_HZ, n_mels=60)
    frames = mel_frames(signal, RATE_HZ)
    assert frames.shape == (130, 60, 1)
    assert frames.dtype == np.float32
    assert frames.min() >= 0
    assert frames.max() <= 1
    n_own = min(level.shape[1], 130)
    # Frame by frame and band by band, without NumPy's help; float32.
    for frame in (0, n_own // 2, n_own - 1):
        for band in (0, 31, 59):
            expected = max(0.0, 1 + level[band, frame] / 80)
            assert frames[frame, band, 0] == pytest.approx(expected, abs=1e-6)
    assert not frames[n_own:].any()
    assert frames[:n_own].any(axis=(1, 2)).all()


@pytest.mark.parametrize(("n_frames", "n_mels", "hop_samples"), [(64, 64, 1024), (130, 76, 512)])
def test_frames_have_the_sizes_that_the_studies_ask_for(noise, n_frames, n_mels, hop_samples):
    frames = mel_frames(
        np.tile(noise, 4), RATE_HZ, n_frames=n_frames, n_mels=n_mels, hop_samples=hop_samples
    )
    assert frames.shape == (n_frames, n_mels, 1)
    assert frames.any(axis=(1, 2)).all()  # 4 s fill 3 s, whatever the hop
    assert frames.max() == 1


def test_a_longer_clip_loses_its_end_and_not_its_beginning(rng):
    # Of equal level throughout, so that the reference (the loudest band) is found in the first.
    first = rng.normal(size=3 * RATE_HZ).astype(np.float32)
    quiet = 0.01 * rng.normal(size=RATE_HZ).astype(np.float32)
    short = mel_frames(first, RATE_HZ, n_frames=100)
    long = mel_frames(np.concatenate([first, quiet]), RATE_HZ, n_frames=100)
    np.testing.assert_allclose(short, long, atol=1e-6)  # float32
    turned = mel_frames(np.concatenate([quiet, first]), RATE_HZ, n_frames=100)
    assert np.abs(turned - short).max() > 0.1


@pytest.mark.parametrize("n_samples", [3000, 16_000, 40_000, 91_648, 92_160, 200_000])
def test_chunks_laid_side_by_side_are_the_log_mel_between_its_own_ends(rng, n_samples):
    signal = rng.normal(size=n_samples).astype(np.float32)
    level = log_mel(signal, 16_000)[:, :180]
    chunks = mel_chunks(signal, 16_000)
    assert chunks.shape == (3, 128, 60, 1)
    assert chunks.dtype == np.float32
    flat = np.hstack([chunks[number, :, :, 0] for number in range(3)])
    n_own = level.shape[1]
    expected = (level - level.min()) / (level.max() - level.min())
    np.testing.assert_allclose(flat[:, :n_own], expected, atol=1e-6)  # float32
    assert flat[:, :n_own].min() == 0
    assert flat[:, :n_own].max() == 1
    assert not flat[:, n_own:].any()


@pytest.mark.parametrize("second", [0, 1, 2])
def test_chunks_are_in_the_order_of_time(rng, second):
    # 60 frames of 512 samples; a burst in the middle of one chunk.
    signal = rng.normal(0, 1e-3, 180 * 512 - 512).astype(np.float32)
    at = (60 * second + 30) * 512
    signal[at : at + 1024] += rng.normal(0, 1, 1024)
    loudness = mel_chunks(signal, 16_000)[..., 0].mean(axis=1)
    chunk, frame = np.unravel_index(loudness.argmax(), loudness.shape)
    assert chunk == second
    assert frame == pytest.approx(31, abs=2)


def test_bands_and_frames_of_a_chunk_are_not_exchanged(tone):
    low = mel_chunks(tone(300.0, duration_s=6.0), 16_000)[1, :, :, 0]  # away from its onset
    assert low.mean(axis=1).argmax() < 20  # the first of these axes counts bands from below
    # The twin: along the frames a steady tone has no loudest place.
    along = low.mean(axis=0)
    assert along.max() - along.min() < 0.01


@pytest.mark.parametrize("n_chunks", [1, 3, 5])
@pytest.mark.parametrize("n_mels", [64, 128])
def test_chunks_have_the_numbers_that_were_asked_for(noise, n_chunks, n_mels):
    chunks = mel_chunks(noise, 16_000, n_chunks=n_chunks, n_frames=20, n_mels=n_mels)
    assert chunks.shape == (n_chunks, n_mels, 20, 1)


def test_silence_fills_frames_and_chunks_without_a_division_by_nothing():
    silence = np.zeros(16_000, dtype=np.float32)
    # One level everywhere: it is the loudest there is, and what is filled up is not.
    frames, chunks = mel_frames(silence, 16_000), mel_chunks(silence, 16_000)
    n_own = 1 + 16_000 // 512
    assert (frames[:n_own] == 1).all()
    assert not frames[n_own:].any()
    assert (chunks[0, :, :n_own] == 1).all()
    assert not chunks[0, :, n_own:].any()
    assert not chunks[1:].any()


@pytest.mark.parametrize("function", [mel_frames, mel_chunks])
@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_frames_and_chunks_do_not_know_the_loudness(noise, function, gain):
    np.testing.assert_allclose(function(gain * noise, 16_000), function(noise, 16_000), atol=1e-4)


# --- mel power, as librosa has it


@pytest.mark.parametrize(
    ("rate", "n_mels", "hop", "f_max_hz"),
    [
        (22_050, 128, 512, None),
        (22_050, 64, 1024, None),
        (16_000, 64, 256, 8000.0),
        (48_000, 40, 512, 8000.0),
        (16_000, 20, 512, 900.0),
    ],
)
@pytest.mark.parametrize("n_samples", [1, 700, 2048, 5000, 60_000])
def test_it_is_what_librosa_computes(rng, rate, n_mels, hop, f_max_hz, n_samples):
    signal = rng.normal(0, 0.1, n_samples).astype(np.float32)
    theirs = librosa.feature.melspectrogram(
        y=np.pad(signal, (0, max(0, 2048 - n_samples))),
        sr=rate,
        n_mels=n_mels,
        n_fft=2048,
        hop_length=hop,
        fmax=f_max_hz,
    )[:, : 1 + n_samples // hop]
    ours = _mel_power(
        signal, rate, n_mels=n_mels, n_fft=2048, hop_samples=hop, f_max_hz=f_max_hz or rate / 2
    )
    assert ours.dtype == theirs.dtype == np.float32
    # The rounding of float32.
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * theirs.max())
    theirs_db = librosa.power_to_db(theirs, ref=np.max, top_db=80)
    np.testing.assert_allclose(_power_to_db(ours), theirs_db, atol=1e-4)


def test_the_filters_are_those_of_librosa():
    ours = _mel_matrix(22_050, 2048, 128, 11_025.0)
    theirs = librosa.filters.mel(sr=22_050, n_fft=2048, n_mels=128)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_what_is_kept_cannot_be_spoiled():
    with pytest.raises(ValueError, match="read-only"):
        _mel_matrix(22_050, 2048, 128, 11_025.0)[0, 0] = 1.0


def test_double_precision_stays_double(rng):
    signal = rng.normal(size=4000)
    power = _mel_power(signal, 16_000, n_mels=20, n_fft=2048, hop_samples=512, f_max_hz=8000.0)
    assert power.dtype == np.float64


def test_silence_has_one_level():
    assert (_power_to_db(np.zeros((3, 4))) == 0).all()


def test_muted_silence_is_zeros_and_speech_is_as_it_was(speak, rng):
    room = rng.normal(0, 1e-3, RATE_HZ).astype(np.float32)
    signal = np.concatenate([room, speak(rate_hz=RATE_HZ, duration_s=1.0), room])
    plain, muted = (
        mfcc_zcr_rms(signal, RATE_HZ, duration_s=3.0, is_muted=m) for m in (False, True)
    )
    n_second = RATE_HZ // HOP
    assert muted[: n_second // 2, 1].max() == muted[-n_second // 2 :, 1].max() == 0
    assert plain[: n_second // 2, 1].min() > 0
    speech = slice(n_second + 4, n_second + 7 * n_second // 10)
    np.testing.assert_allclose(muted[speech], plain[speech], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(
        mfcc_zcr_rms(room, RATE_HZ, is_muted=True), mfcc_zcr_rms(room, RATE_HZ)
    )
