"""Recordings: one sound has one hash, resampling keeps tones, damaged files are named."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from ser_lib.audio.io import (
    ClipFacts,
    check_facts,
    is_recording,
    iter_blocks,
    load_head,
    load_signal,
    read_facts,
)
from ser_lib.audio.signal import crop_or_pad, mono, resample, without_offset
from ser_lib.errors import AudioError

SOUND = ClipFacts(
    duration_s=3.0,
    sample_rate_hz=48_000,
    n_channels=1,
    sample_format="PCM_16",
    peak_db=-6.0,
    is_finite=True,
    audio_sha256="00",
)


@pytest.fixture
def noise(rng):
    """0.5 s at 16 kHz, on the grid of 16 bits."""
    return np.round(rng.uniform(-0.3, 0.3, 8000) * 32768) / 32768


# --- one sound, one hash


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16")],
)
def test_the_same_sound_has_the_same_hash_in_any_container(
    tmp_path, write_clip, noise, suffix, subtype, n_channels
):
    reference = read_facts(write_clip(tmp_path / "reference.wav", noise))
    signal = np.column_stack([noise] * n_channels)
    other = write_clip(tmp_path / f"other.{suffix}", signal, subtype=subtype)
    assert read_facts(other).audio_sha256 == reference.audio_sha256


def test_the_hash_knows_the_rate(tmp_path, write_clip, noise):
    first = write_clip(tmp_path / "a.wav", noise, rate_hz=16_000)
    second = write_clip(tmp_path / "b.wav", noise, rate_hz=48_000)
    assert read_facts(first).audio_sha256 != read_facts(second).audio_sha256


@pytest.mark.parametrize("position", [0, 4000, 7999])
def test_the_hash_knows_every_sample(tmp_path, write_clip, noise, position):
    changed = noise.copy()
    changed[position] += 1 / 32768  # the smallest step of 16 bits
    first, second = write_clip(tmp_path / "a.wav", noise), write_clip(tmp_path / "b.wav", changed)
    assert read_facts(first).audio_sha256 != read_facts(second).audio_sha256


def test_facts_are_those_of_the_file(tmp_path, write_clip, tone):
    stereo = np.column_stack([tone(300, amplitude=0.5, rate_hz=48_000)] * 2)
    facts = read_facts(write_clip(tmp_path / "a.wav", stereo, rate_hz=48_000, subtype="PCM_24"))
    assert facts.duration_s == 1.0
    assert facts.sample_rate_hz == 48_000
    assert facts.n_channels == 2
    assert facts.sample_format == "PCM_24"
    assert facts.is_finite
    # 0.5 is 6.02 dB below full scale; 24 bits and the tone's sampled peak err by far less.
    assert facts.peak_db == pytest.approx(-6.02, abs=0.01)


def test_silence_has_a_level_of_minus_infinity(tmp_path, write_clip):
    facts = read_facts(write_clip(tmp_path / "a.wav", np.zeros(8000)))
    assert facts.peak_db == -np.inf


def test_samples_that_are_not_finite_are_a_fact_not_a_crash(tmp_path, write_clip, noise):
    noise[100] = np.nan
    facts = read_facts(write_clip(tmp_path / "a.wav", noise, subtype="FLOAT"))
    assert not facts.is_finite


# --- decoding


def test_a_signal_is_mono_float32_at_the_files_rate(tmp_path, write_clip, noise):
    path = write_clip(tmp_path / "a.wav", np.column_stack([noise, noise / 2]), subtype="FLOAT")
    signal, rate_hz = load_signal(path)
    assert rate_hz == 16_000
    assert signal.dtype == np.float32
    # Halves of 16-bit samples are exact in float32.
    np.testing.assert_array_equal(signal, (noise * 0.75).astype(np.float32))


@pytest.mark.parametrize("gains", [(1, -1), (1, -0.97), (-0.5, 1), (0, 1, -1), (1, 1, -1, -1)])
def test_channels_in_opposite_phase_are_the_sound_not_what_they_leave_of_each_other(
    tmp_path, write_clip, noise, rng, gains
):
    own = rng.normal(0, 0.003, (len(noise), len(gains)))
    path = write_clip(tmp_path / "a.wav", noise[:, None] * gains + own, subtype="FLOAT")
    signal, _ = load_signal(path)
    assert abs(np.corrcoef(signal, noise)[0, 1]) > 0.999
    assert np.std(signal) == pytest.approx(np.abs(gains).mean() * np.std(noise), rel=0.01)
    # In blocks it has one polarity throughout.
    np.testing.assert_allclose(
        np.concatenate([one for one, _ in iter_blocks(path, block_s=0.1)]), signal, atol=1e-7
    )


def test_what_an_encoder_leaves_in_empty_channels_is_in_no_phase(noise):
    samples = (noise[:, None] * [0, 1, 0] + [2e-34, 0, -2e-34]).astype(np.float32)
    faint = samples - 0.01 * samples[:, [1, 0, 1]]
    for one in (samples, faint):
        np.testing.assert_array_equal(mono(one), one.mean(axis=1))


def test_an_offset_hides_no_opposite_phase(noise):
    signal = mono(0.01 * noise[:, None] * [1, -1] + 0.1)
    assert abs(np.corrcoef(signal, noise)[0, 1]) > 0.999


def test_a_large_offset_is_taken_out_and_a_small_one_left(noise):
    centred = noise - noise.mean()
    np.testing.assert_allclose(without_offset(centred + np.float32(0.3)), centred, atol=1e-6)
    small = centred + np.float32(0.05 * centred.std())
    assert without_offset(small) is small
    assert not without_offset(np.full(10, 0.3, np.float32)).any()


@pytest.mark.parametrize("correlation", [1.0, 0.5, 0.0, -0.3])
def test_channels_of_one_room_are_averaged(noise, rng, correlation):
    other = correlation * noise + np.sqrt(1 - correlation**2) * rng.permutation(noise)
    samples = np.column_stack([noise, other])
    np.testing.assert_array_equal(mono(samples), samples.mean(axis=1))


def test_no_samples_of_two_channels_are_no_samples():
    # Where a mean were asked for, NumPy would warn.
    assert mono(np.empty((0, 2), np.float32)).shape == (0,)


def test_a_part_is_cut_out_in_seconds(tmp_path, write_clip, noise):
    path = write_clip(tmp_path / "a.wav", noise)
    signal, _ = load_signal(path, offset_s=0.1, duration_s=0.25)
    np.testing.assert_array_equal(signal, noise[1600:5600].astype(np.float32))


@pytest.mark.parametrize(("offset_s", "n_left"), [(0.4, 1600), (0.5, 0), (9.0, 0)])
def test_a_part_beyond_the_end_is_what_is_left(tmp_path, write_clip, noise, offset_s, n_left):
    path = write_clip(tmp_path / "a.wav", noise)
    signal, _ = load_signal(path, offset_s=offset_s, duration_s=1.0)
    assert len(signal) == n_left


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 48_000])
def test_loading_agrees_with_librosa(tmp_path, write_clip, rng, rate_hz):
    import librosa

    stereo = rng.uniform(-0.3, 0.3, (rate_hz // 2, 2)).astype(np.float32)
    path = write_clip(tmp_path / "a.wav", stereo, rate_hz=rate_hz, subtype="FLOAT")
    signal, _ = load_signal(path, sample_rate_hz=22_050)
    mono = librosa.to_mono(stereo.T)
    theirs = librosa.resample(mono, orig_sr=rate_hz, target_sr=22_050, res_type="soxr_hq")
    # librosa pads or cuts the last fraction of a sample; the rest is float32 rounding.
    assert abs(len(signal) - len(theirs)) <= 1
    n_samples = min(len(signal), len(theirs))
    np.testing.assert_allclose(signal[:n_samples], theirs[:n_samples], atol=1e-6)


# --- resampling


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 22_050), (16_000, 22_050), (8000, 16_000)])
@pytest.mark.parametrize("frequency_hz", [200.0, 1000.0, 3000.0])
def test_resampling_keeps_a_tone(tone, peak_frequency, from_hz, to_hz, frequency_hz):
    before = tone(frequency_hz, rate_hz=from_hz, duration_s=2.0)
    after = resample(before, from_hz, to_hz)
    assert after.dtype == np.float32
    assert abs(len(after) - 2 * to_hz) <= 1
    # Two seconds resolve half a hertz.
    assert peak_frequency(after, to_hz) == pytest.approx(frequency_hz, abs=0.5)
    # Away from the filter's edges the level stays within a tenth of a per cent.
    middle = slice(len(after) // 4, -len(after) // 4)
    assert np.sqrt(2 * np.mean(after[middle] ** 2)) == pytest.approx(0.5, rel=1e-3)


def test_resampling_folds_nothing_back(tone):
    above = tone(10_000, rate_hz=48_000)
    # Above half of the new rate there is nothing to keep: 80 dB below the tone is silence.
    folded = resample(above, 48_000, 16_000)[1000:-1000]
    assert np.abs(folded).max() < 0.5e-4


def test_the_same_rate_changes_nothing(noise):
    assert resample(noise, 16_000, 16_000) is noise


# --- length


@pytest.mark.parametrize("n_samples", [0, 1, 7, 8, 9, 100])
def test_crop_or_pad_keeps_the_beginning_and_adds_zeros(n_samples):
    signal = np.arange(1.0, 9.0)
    result = crop_or_pad(signal, n_samples)
    n_kept = min(8, n_samples)
    assert len(result) == n_samples
    np.testing.assert_array_equal(result[:n_kept], signal[:n_kept])
    assert not result[n_kept:].any()


# --- files that cannot be decoded: one clear error with file, value, remedy


def _missing(path):
    return "SER_DATA"


def _empty(path):
    path.write_bytes(b"")
    return "0 bytes.*again"


def _text(path):
    path.write_text("This was a text before somebody renamed it.\n" * 30)
    return "cannot be decoded.*again"


def _truncated(share):
    def cut(path):
        samples = np.random.default_rng(1).uniform(-0.3, 0.3, 16_000)
        soundfile.write(path, samples, 16_000)
        content = path.read_bytes()
        path.write_bytes(content[: round(share * len(content))])
        return "(truncated|cannot be decoded).*again"

    return cut


UNREADABLE = [
    pytest.param("a.wav", _missing, id="missing"),
    pytest.param("a.wav", _empty, id="empty wav"),
    pytest.param("a.flac", _empty, id="empty flac"),
    pytest.param("a.wav", _text, id="text named wav"),
    pytest.param("a.flac", _text, id="text named flac"),
    *(
        pytest.param(f"a.{suffix}", _truncated(share), id=f"{suffix} cut to {share:.1%}")
        for suffix in ("wav", "flac")
        for share in (0.0005, 0.1, 0.5, 0.9, 0.995)
    ),
]


@pytest.mark.parametrize("reader", [read_facts, load_signal])
@pytest.mark.parametrize(("name", "damage"), UNREADABLE)
def test_a_file_that_cannot_be_decoded_is_named_with_a_remedy(tmp_path, reader, name, damage):
    path = tmp_path / name
    message = damage(path)
    with pytest.raises(AudioError, match=message) as caught:
        reader(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_the_undamaged_twin_of_the_truncated_files_is_read(tmp_path):
    for suffix in ("wav", "flac"):
        path = tmp_path / f"a.{suffix}"
        _truncated(1.0)(path)
        assert read_facts(path).duration_s == 1.0


def test_a_file_that_may_not_be_read_is_named_with_a_remedy(tmp_path, write_clip, monkeypatch):
    path = write_clip(tmp_path / "a.wav")

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # Root may read everything, so the refusal is acted.
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(AudioError, match=r"a\.wav.*(?i:permission)"):
        read_facts(path)


# Where the header of a 44-byte WAV says how long it is, what it says instead, and what follows.
SIZES = {
    "whole, 0": {4: 0},
    "whole, largest": {4: 0xFFFFFFFF},
    "whole, eight too many": {4: 44 + 9600},
    "whole, too few": {4: 36},
    "samples, 0": {40: 0},
    "both, 0": {4: 0, 40: 0},
    "both, largest": {4: 0xFFFFFFFF, 40: 0xFFFFFFFF},
    "both, of a pipe": {4: 0x7FFFF024, 40: 0x7FFFF000},
    "samples, counting the header": {40: 9600 + 44},
    "samples, eight too many": {40: 9608},
}


def _resized(raw: bytes, sizes: dict[int, int]) -> bytes:
    content = bytearray(raw)
    for place, size in sizes.items():
        content[place : place + 4] = size.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_whole_wav_is_read_to_its_end_whatever_its_header_says(tmp_path, write_clip, sizes):
    path = write_clip(tmp_path / "a.wav")
    expected = load_signal(path)[0]
    path.write_bytes(_resized(path.read_bytes(), sizes))
    np.testing.assert_array_equal(load_signal(path)[0], expected)
    blocks = [one for one, _ in iter_blocks(path, block_s=0.1)]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    assert load_head(path, max_s=0.1)[2] == pytest.approx(0.3)


@pytest.mark.parametrize("sizes", [{}, {4: 0}, {4: 36}, {4: 0xFFFFFFFF}])
def test_a_wav_that_lost_samples_is_truncated_whatever_the_size_of_the_whole(
    tmp_path, write_clip, sizes
):
    path = write_clip(tmp_path / "a.wav")
    path.write_bytes(_resized(path.read_bytes(), sizes)[:-1000])
    for read in (load_signal, read_facts, lambda one: list(iter_blocks(one, block_s=0.1))):
        with pytest.raises(AudioError, match="truncated"):
            read(path)


@pytest.mark.parametrize("suffix", ["aiff", "au", "w64", "rf64", "svx"])
def test_what_lost_its_end_is_truncated_in_other_containers_too(tmp_path, noise, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise, 16_000, subtype="PCM_16")
    raw = path.read_bytes()
    expected = load_signal(path)[0]
    path.write_bytes(raw + bytes(10))  # what follows does no harm
    np.testing.assert_array_equal(load_signal(path)[0][: len(expected)], expected)
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(AudioError, match="truncated"):
        load_signal(path)


@pytest.mark.parametrize("size", ["whole", "unknown", "of a pipe"])
def test_an_aiff_whose_size_of_the_whole_is_wrong_is_read(tmp_path, noise, size):
    path = tmp_path / "a.aiff"
    soundfile.write(path, noise, 16_000)
    raw = path.read_bytes()
    expected = load_signal(path)[0]
    number = len(raw) + 1000 if size == "whole" else 2**32 - 1
    if size == "of a pipe":  # as sox writes it
        number, at = 0x7F000050, raw.index(b"SSND") + 4
        raw = raw[:at] + (0x7F000008).to_bytes(4, "big") + raw[at + 4 :]
    path.write_bytes(raw[:4] + number.to_bytes(4, "big") + raw[8:])
    np.testing.assert_array_equal(load_signal(path)[0], expected)


def test_a_caf_whose_size_was_never_filled_in_is_read_to_its_end(tmp_path, noise, capfd):
    path = tmp_path / "a.caf"
    soundfile.write(path, noise, 16_000)
    raw, expected = path.read_bytes(), load_signal(path)[0]
    at = raw.index(b"data") + 4
    path.write_bytes(raw[:at] + b"\xff" * 8 + raw[at + 8 :])
    np.testing.assert_array_equal(load_signal(path)[0], expected)
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(AudioError):
        load_signal(path)
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("a.wav", "-c:a", "libmp3lame"),
        ("a.wav", "-c:a", "adpcm_yamaha"),
        ("a.caf", "-c:a", "alac"),
        ("a.ogg", "-c:a", "flac"),
    ],
)
def test_an_encoding_that_libsndfile_does_not_know_in_a_container_that_it_knows_is_read_whole(
    ffmpeg, tmp_path, write_clip, arguments
):
    name, *codec = arguments
    source = write_clip(tmp_path / "source.wav", 0.5 * np.sin(np.arange(16_000) / 10))
    path = tmp_path / name
    subprocess.run([ffmpeg, "-v", "error", "-i", source, *codec, path], check=True)
    signal, rate_hz = load_signal(path)
    assert rate_hz == 16_000
    # Those of WAV add silence: they have blocks.
    assert len(signal) == pytest.approx(16_000, abs=2400 if name == "a.wav" else 0)
    assert np.abs(signal[4000:12_000]).max() == pytest.approx(0.5, abs=0.05)
    if name == "a.wav":
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(AudioError, match="truncated"):
            load_signal(path)


def test_what_cannot_be_decoded_is_the_same_sentence_in_each_run(tmp_path):
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x18ftypM4A " + bytes(400))
    reasons = set()
    for _ in range(2):
        with pytest.raises(AudioError) as caught:
            load_signal(path)
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    assert " @ 0x" not in reasons.pop()


def test_an_empty_wav_with_a_chunk_after_it_holds_no_samples(tmp_path, write_clip):
    path = write_clip(tmp_path / "a.wav", np.zeros(0))
    path.write_bytes(path.read_bytes() + b"LIST\x04\0\0\0INFO" * 1000)
    assert read_facts(path).duration_s == 0


def test_a_flac_that_does_not_say_how_long_it_is_is_whole_and_half_of_it_is_not(
    tmp_path, write_clip, noise
):
    path = write_clip(tmp_path / "a.flac", np.tile(noise, 6))
    raw = bytearray(path.read_bytes())
    raw[21] &= 0xF0
    raw[22:26] = bytes(4)  # the number of samples, as encoders that write into a pipe leave it
    path.write_bytes(raw)
    assert load_head(path, max_s=1.0)[2] == pytest.approx(3.0)
    np.testing.assert_array_equal(load_signal(path)[0], np.tile(noise, 6).astype(np.float32))
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(AudioError):
        load_signal(path)


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
@pytest.mark.parametrize("is_loud_first", [True, False])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_an_mp3_without_a_tag_for_its_length_is_read_to_its_end(
    tmp_path, rate_hz, is_loud_first, n_channels
):
    """libsndfile guesses a third of it where it begins loud, and twice where it begins soft."""
    noise = np.random.default_rng(0).normal(0, 0.2, 3 * rate_hz)
    signal = np.concatenate([noise, 0 * noise][:: 1 if is_loud_first else -1])
    path = tmp_path / "a.mp3"
    samples = np.column_stack([signal] * n_channels)
    soundfile.write(path, samples, rate_hz, bitrate_mode="VARIABLE")
    raw = path.read_bytes()
    expected = load_signal(path)[0]
    untagged = raw[raw.index(raw[:2], 4) :]  # all but the first frame
    for begin in (b"", b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)):
        path.write_bytes(begin + untagged)
        found = load_signal(path)[0]
        assert load_head(path, max_s=1.0)[2] == len(found) / rate_hz
        # The encoder's delay, which the tag tells, is left.
        delay = len(found) - len(expected)
        assert 0 <= delay < 2500
        starts = range(min(delay, 2300) + 1)
        best = max(starts, key=lambda n: found[n : n + len(expected)] @ expected[: len(found) - n])
        assert np.corrcoef(found[best : best + len(expected)], expected)[0, 1] > 0.99
    path.write_bytes(raw[: len(raw) * 2 // 3])
    with pytest.raises(AudioError, match="truncated"):
        load_signal(path)


def test_a_recording_beside_what_a_mac_keeps_of_it_is_read(tmp_path, write_clip):
    for suffix in ("mp3", "wav", "flac"):
        good = write_clip(tmp_path / f"t.{suffix}", subtype=None)
        expected = load_signal(good)[0]
        beside = tmp_path / f"._t.{suffix}"
        beside.write_bytes(bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(4000))
        np.testing.assert_array_equal(load_signal(good)[0], expected)
        assert not is_recording(beside.name)
        with pytest.raises(AudioError, match="Mac"):
            load_signal(beside)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        ("/annex/objects/SHA256E-s9--00.wav\n", "git annex get"),
        ("<!DOCTYPE html><title>404</title>", "download"),
        ("PK\3\4", "unpack"),
    ],
)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".raw"])
def test_what_stands_in_the_place_of_a_recording_is_named(tmp_path, content, remedy, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text(content)
    with pytest.raises(AudioError, match=remedy):
        read_facts(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_loading_samples_that_are_not_finite_is_refused(tmp_path, write_clip, noise, value):
    noise[7] = value
    path = write_clip(tmp_path / "a.wav", noise, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav.*NaN"):
        load_signal(path)


def test_a_link_to_what_git_annex_has_not_fetched_is_named(tmp_path):
    (tmp_path / "a.wav").symlink_to(".git/annex/objects/xx/SHA256E-s9--00.wav")
    (tmp_path / "b.wav").symlink_to("nowhere.wav")
    for name, remedy in (("a.wav", "git annex get"), ("b.wav", "link to nothing")):
        with pytest.raises(AudioError, match=remedy):
            load_signal(tmp_path / name)


PHONES = ".oga .opus .m4a .mpeg .mpga .qta .amr .3gp .webm .mp4 .aac .wma .mov .3gpp .m4b .ogg .caf"


@pytest.mark.parametrize("suffix", PHONES.split())
def test_what_phones_and_messengers_record_is_found_and_read_whatever_its_name(
    tmp_path, write_clip, suffix
):
    assert is_recording(f"a{suffix.upper()}")
    path = write_clip(tmp_path / "a.wav").rename(tmp_path / f"a{suffix}")
    assert read_facts(path).duration_s == pytest.approx(0.3)


# --- clips that can be decoded but should not be used


def test_a_sound_clip_has_no_problem():
    assert check_facts(SOUND) == []


BAD_FACTS = [
    pytest.param({"is_finite": False, "peak_db": -np.inf}, "NaN or infinite", id="NaN"),
    pytest.param({"peak_db": -np.inf}, r"silent \(peak -inf dB", id="silent"),
    pytest.param({"peak_db": -60.1}, r"silent \(peak -60 dB", id="nearly silent"),
    pytest.param({"sample_rate_hz": 8000}, "8000 Hz, below 16000 Hz", id="8 kHz"),
    pytest.param({"sample_format": "PCM_U8"}, r"8-bit samples \(PCM_U8\)", id="8 bit wav"),
    pytest.param({"sample_format": "PCM_S8"}, r"8-bit samples \(PCM_S8\)", id="8 bit flac"),
    pytest.param({"sample_format": "ULAW"}, "8-bit samples", id="mu law"),
    pytest.param({"n_channels": 6}, "6 channels, more than 2", id="5.1 channels"),
    pytest.param({"duration_s": 600.0}, "600 s, longer than 60 s", id="ten minutes"),
    pytest.param({"duration_s": 0.1}, "0.10 s, too short", id="too short"),
]


@pytest.mark.parametrize(("change", "phrase"), BAD_FACTS)
def test_a_bad_clip_has_one_phrase_with_its_value_and_a_remedy(change, phrase):
    (found,) = check_facts(replace(SOUND, **change))
    import re

    assert re.search(phrase, found)
    assert re.search(r"; (export|remove|get|mix|cut)", found), f"no remedy in: {found}"


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate_hz": 16_000},
        {"n_channels": 2},
        {"duration_s": 60.0},
        {"duration_s": 0.2},
        {"peak_db": -60.0},
        {"sample_format": "PCM_24"},
        {"sample_format": "OPUS"},
    ],
)
def test_the_limits_themselves_are_allowed(change):
    assert check_facts(replace(SOUND, **change)) == []


def test_a_clip_with_several_problems_is_reported_with_all_of_them():
    bad = replace(SOUND, sample_rate_hz=8000, n_channels=6, duration_s=600.0)
    assert len(check_facts(bad)) == 3


REAL_BAD = [
    ("8000 Hz", {"rate_hz": 8000}, lambda n: n),
    ("8-bit samples", {"subtype": "PCM_U8"}, lambda n: n),
    ("6 channels", {}, lambda n: np.column_stack([n] * 6)),
    ("silent", {}, lambda n: 0 * n),
    ("NaN", {"subtype": "FLOAT"}, lambda n: n * np.nan),
    ("too short", {}, lambda n: n[:1000]),
]


@pytest.mark.parametrize(("phrase", "form", "change"), REAL_BAD)
def test_real_files_give_the_same_phrases(tmp_path, write_clip, noise, phrase, form, change):
    (found,) = check_facts(read_facts(write_clip(tmp_path / "a.wav", change(noise), **form)))
    assert phrase in found


def test_a_ten_minute_file_is_recognised_by_its_length(tmp_path, write_clip, rng):
    minute = np.round(rng.uniform(-0.01, 0.01, 16_000 * 60) * 32768) / 32768
    path = write_clip(tmp_path / "a.flac", np.tile(minute, 10))
    (found,) = check_facts(read_facts(path))
    assert found == "600 s, longer than 60 s; cut it into clips"


def test_a_file_without_a_single_sample_has_one_problem(tmp_path, write_clip):
    facts = read_facts(write_clip(tmp_path / "a.wav", np.zeros(0)))
    assert facts.duration_s == 0
    assert len(check_facts(facts)) == 1
