"""What people bring: every container is answered whole, and refused where its end is missing."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import soundfile

from ser_lib.audio.io import (
    SUFFIXES,
    is_recording,
    iter_blocks,
    load_head,
    load_signal,
    read_facts,
)
from ser_lib.audit.tables import folder_table
from ser_lib.data.own import clips_from_folder
from ser_lib.errors import AudioError
from ser_lib.inference.batch import find_recordings

DURATION_S = 0.5
TONE_HZ = 440.0

# Name, ffmpeg's options, and how much longer an answer may be: raw streams do not say what their
# encoder added; of WMA, FFmpeg loses the first block.
MADE = {
    "pcm.wav": ("-c:a pcm_s16le", 0),
    "float.wav": ("-c:a pcm_f32le", 0),
    "g726.wav": ("-ar 8000 -c:a g726", 0),
    "a.rf64": ("-rf64 always -f wav", 0),
    "a.w64": ("", 0),
    "a.aiff": ("", 0),
    "sowt.aifc": ("-c:a pcm_s16le -f aiff", 0),
    "a.au": ("", 0),
    "a.flac": ("", 0),
    "flac.ogg": ("-c:a flac", 0),
    "vorbis.ogg": ("-c:a libvorbis", 0),
    "a.opus": ("-c:a libopus", 0),
    "a.mp3": ("-c:a libmp3lame", 0),
    "untagged.mp3": ("-c:a libmp3lame -write_xing 0 -id3v2_version 0", 0.1),
    "alac.caf": ("-c:a alac", 0),
    "opus.caf": ("-c:a libopus", 0.03),
    "pcm.caf": ("-c:a pcm_s16be", 0),
    "a.m4a": ("-c:a aac", 0),
    "begins with its index.m4a": ("-c:a aac -movflags +faststart", 0),
    "alac.m4a": ("-c:a alac", 0),
    "in pieces.mp4": ("-c:a aac -movflags +frag_keyframe+empty_moov -frag_duration 100000", 0.07),
    "a.3gp": ("-ar 8000 -c:a aac", 0),
    "pcm.mov": ("-c:a pcm_s16le", 0),
    "a.webm": ("-c:a libopus", 0),
    "without duration.webm": ("-c:a libopus -live 1", 0),
    "a.mka": ("-c:a libvorbis", 0.03),
    "a.aac": ("-c:a aac -f adts", 0.15),
    "a.latm": ("-c:a aac -f latm", 0.15),
    "a.ts": ("-c:a aac -f mpegts", 0.15),
    "a.wma": ("-c:a wmav2", -0.13),
    "a.avi": ("-c:a libmp3lame", 0.15),
}
VIDEOS = {
    "video.mp4": ("-c:v mpeg4 -c:a aac", 0),
    "video.webm": ("-c:v libvpx -c:a libopus", 0.03),
    "video.avi": ("-c:v mpeg4 -c:a libmp3lame", 0.15),
}


@pytest.fixture(scope="session")
def brought(ffmpeg, tmp_path_factory):
    """A folder with half a second of a tone in every container, made at once."""
    folder = tmp_path_factory.mktemp("brought")
    sound = f"sine=f={TONE_HZ}:r=16000:d={DURATION_S},volume=2.4"  # of an eighth
    inputs = ["-f", "lavfi", "-i", sound, "-f", "lavfi", "-i", f"color=s=32x32:d={DURATION_S}:r=25"]
    outputs = [
        one
        for table, maps in ((MADE, ["-map", "0"]), (VIDEOS, ["-map", "0", "-map", "1"]))
        for name, (options, _) in table.items()
        for one in (*maps, *options.split(), str(folder / name))
    ]
    subprocess.run([ffmpeg, "-nostdin", "-v", "error", *inputs, *outputs], check=True)
    return folder


@pytest.mark.parametrize(("name", "longer_s"), [(n, s) for n, (_, s) in (MADE | VIDEOS).items()])
def test_a_recording_is_answered_whole_and_not_at_all_where_its_end_is_missing(
    brought, tmp_path, peak_frequency, name, longer_s
):
    path = brought / name
    assert is_recording(name)
    signal, rate_hz, duration_s = load_head(path)
    assert sorted((0, longer_s))[0] <= duration_s - DURATION_S <= max(0, longer_s) + 1e-9
    middle = signal[len(signal) // 4 : -len(signal) // 4]
    assert peak_frequency(middle, rate_hz) == pytest.approx(TONE_HZ, abs=5)
    assert np.sqrt(2) * np.std(middle) == pytest.approx(0.3, rel=0.07)
    blocks = [block for block, _ in iter_blocks(path, block_s=0.09)]
    np.testing.assert_array_equal(np.concatenate(blocks), signal)
    assert load_head(path, max_s=0.1)[2] == duration_s
    cut = tmp_path / name
    raw = path.read_bytes()
    cut.write_bytes(raw[: round(0.6 * len(raw))])
    for read in (read_facts, lambda one: list(iter_blocks(one, block_s=0.09))):
        with pytest.raises(AudioError, match="truncated"):
            read(cut)


def test_every_command_finds_the_same_recordings(tmp_path, write_clip):
    # What is in a file decides how it is read.
    content = write_clip(tmp_path / "a.wav").read_bytes()
    files = [tmp_path / f"{suffix[1:]}_sad{suffix}" for suffix in sorted(SUFFIXES)]
    for path in [*files, tmp_path / ".hidden.wav", tmp_path / "notes.txt"]:
        path.write_bytes(content)
    (tmp_path / "a.wav").unlink()
    assert sorted(find_recordings([tmp_path])) == sorted(files)
    assert set(folder_table(tmp_path)["path"]) == set(map(str, files))
    pattern = r"(?P<speaker>\w+)_(?P<emotion>[a-z]+)"
    clips = clips_from_folder(tmp_path, name="mine", pattern=pattern)
    assert set(clips["path"]) == set(map(str, files))


# Modes of AMR: what is said, and the pauses of a phone that sends nothing while nobody speaks.
@pytest.mark.parametrize(("container", "is_sparing"), [("amr", "0"), ("amr", "1"), ("3gp", "1")])
def test_pauses_that_a_phone_did_not_send_stay(tmp_path, tone, container, is_sparing):
    import av

    if "libopencore_amrnb" not in av.codecs_available:
        pytest.skip("NOT CHECKED: this PyAV encodes no AMR")
    said = np.concatenate([tone(400.0, rate_hz=8000, duration_s=0.4), np.zeros(9600, np.float32)])
    signal = np.concatenate([said, said[:3200]])
    path = tmp_path / f"a.{container}"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream("libopencore_amrnb", rate=8000, options={"dtx": is_sparing})
        stream.bit_rate, stream.layout = 12_200, "mono"
        frame = av.AudioFrame.from_ndarray(
            (32_767 * signal[None]).astype("int16"), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        file.mux([*stream.encode(frame), *stream.encode(None)])
    found, rate_hz = load_signal(path)
    assert rate_hz == 8000
    assert len(found) == pytest.approx(len(signal), abs=160)
    levels = [np.std(found[start : start + 2400]) for start in (400, 9000, 13_000)]
    assert min(levels[0], levels[2]) > 100 * levels[1]
    raw = path.read_bytes()
    path.write_bytes(raw[: round(0.95 * len(raw)) - 7])
    with pytest.raises(AudioError, match="truncated"):
        load_signal(path)


def test_what_was_not_sent_is_silence(brought, tmp_path, ffmpeg):
    path = tmp_path / "a.mka"
    options = ["-af", "aselect=not(between(t\\,0.2\\,0.3))", "-c:a", "pcm_s16le"]
    subprocess.run([ffmpeg, "-v", "error", "-i", brought / "pcm.wav", *options, path], check=True)
    signal, rate_hz = load_signal(path)
    assert len(signal) / rate_hz == pytest.approx(DURATION_S, abs=0.001)
    assert 0.05 < np.mean(signal == 0) < 0.3
    assert signal[-1000:].any()


@pytest.mark.parametrize("name", ["vorbis.ogg", "a.opus", "flac.ogg", "a.mp3"])
def test_all_links_of_a_chain_are_read(brought, tmp_path, name):
    raw = (brought / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(raw + raw)
    # What encoders add between two MP3s stays.
    longer_s = 0.2 if name == "a.mp3" else 0.05
    assert load_head(path)[2] == pytest.approx(2 * DURATION_S, abs=longer_s)
    path.write_bytes(raw + raw[: round(0.6 * len(raw))])
    with pytest.raises(AudioError, match="truncated"):
        load_head(path)


@pytest.mark.parametrize("name", ["pcm.wav", "a.flac", "a.mp3", "a.m4a", "vorbis.ogg"])
def test_a_tag_at_the_end_ends_no_recording(brought, tmp_path, name):
    path = tmp_path / name
    path.write_bytes((brought / name).read_bytes() + b"TAG".ljust(128))
    whole = load_head(path)[0]
    parts = [one for one, _ in iter_blocks(path, block_s=0.03)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert len(whole) == len(load_head(brought / name)[0])


def test_what_changes_its_rate_is_to_be_split(brought, tmp_path, ffmpeg):
    raw = (brought / "a.aac").read_bytes()
    path = tmp_path / "a.aac"
    options = ["-ar", "44100", "-f", "adts"]
    subprocess.run([ffmpeg, "-v", "error", "-i", brought / "a.aac", *options, path], check=True)
    path.write_bytes(raw + path.read_bytes())
    with pytest.raises(AudioError, match="split"):
        load_signal(path)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le", "aac"])
def test_channels_are_mixed_at_one_level_whatever_form_their_samples_have(
    brought, tmp_path, ffmpeg, codec
):
    path = tmp_path / "a.mkv"
    inputs = ["-i", brought / "float.wav", "-af", "pan=stereo|c0=c0|c1=c0"]
    subprocess.run([ffmpeg, "-v", "error", *inputs, "-c:a", codec, path], check=True)
    signal, _ = load_signal(path)
    assert np.sqrt(2) * np.std(signal[2000:6000]) == pytest.approx(0.3, rel=0.03)
    assert read_facts(path).n_channels == 2


@pytest.mark.parametrize("n_channels", [7, 8, 16])
def test_any_number_of_channels_is_mixed(brought, tmp_path, ffmpeg, n_channels):
    # PyAV looks for the planes of a frame beyond the last one: from 8 channels on it crashes there.
    signal, rate_hz = load_signal(brought / "pcm.wav")
    source, path = tmp_path / "array.wav", tmp_path / "array.mka"
    soundfile.write(source, np.tile(signal[:, None], n_channels), rate_hz)
    options = ["-c:a", "libopus", "-mapping_family", "255"]
    subprocess.run([ffmpeg, "-v", "error", "-i", source, *options, path], check=True)
    assert read_facts(path).n_channels == n_channels
    assert np.std(load_signal(path)[0]) == pytest.approx(np.std(signal), rel=0.05)


def test_a_damaged_packet_is_no_shorter_recording(brought, tmp_path):
    path = tmp_path / "a.m4a"
    raw = bytearray((brought / "begins with its index.m4a").read_bytes())
    middle = len(raw) * 2 // 3
    raw[middle : middle + 300] = bytes(300)
    path.write_bytes(raw)
    with pytest.raises(AudioError, match="damaged"):
        load_signal(path)


def test_a_picture_is_no_sound(ffmpeg, tmp_path):
    path = tmp_path / "a.mp4"
    picture = ["-f", "lavfi", "-i", "color=s=32x32:d=0.1", "-c:v", "mpeg4"]
    subprocess.run([ffmpeg, "-v", "error", *picture, path], check=True)
    with pytest.raises(AudioError, match="no sound"):
        load_signal(path)


def _sphere(samples: bytes, coding: str, n_bytes: int, n_samples: int) -> bytes:
    fields = (
        *("channel_count -i 1", f"sample_rate -i {8000 * n_bytes}", f"sample_n_bytes -i {n_bytes}"),
        *(f"sample_count -i {n_samples}", f"sample_coding -s{len(coding)} {coding}"),
        f"sample_byte_format -s{n_bytes} {'01' if n_bytes == 2 else '1'}",
    )
    head = "\n".join(("NIST_1A", "   1024", *fields, "end_head\n"))
    return head.encode().ljust(1024) + samples


@pytest.mark.parametrize(("coding", "n_bytes"), [("pcm", 2), ("ulaw", 1), ("mu-law", 1)])
def test_a_sphere_is_read_to_its_end_or_truncated(tmp_path, coding, n_bytes):
    path = tmp_path / "a.sph"
    samples = bytes(range(1, 201)) * 80
    whole = _sphere(samples, coding, n_bytes, len(samples) // n_bytes)
    path.write_bytes(whole)
    assert load_head(path)[2] == len(samples) / (8000 * n_bytes * n_bytes)
    path.write_bytes(whole[:-1000])
    with pytest.raises(AudioError, match="truncated"):
        load_head(path)


def test_a_sphere_in_shorten_says_how_it_is_unpacked(tmp_path):
    path = tmp_path / "a.sph"
    path.write_bytes(_sphere(b"ajkg\x02" + bytes(500), "pcm,embedded-shorten-v2.00", 2, 16_000))
    with pytest.raises(AudioError, match="sph2pipe"):
        load_head(path)


def test_24_bits_in_32_are_no_floats(tmp_path, tone):
    path = tmp_path / "a.wav"
    signal = np.round(tone(440.0) * 2**23) / 2**23
    soundfile.write(path, signal, 16_000, subtype="PCM_32", format="WAVEX")
    raw = bytearray(path.read_bytes())
    at = raw.index(b"fmt ") + 8 + 18  # how many of the bits are used
    raw[at : at + 2] = (24).to_bytes(2, "little")
    path.write_bytes(raw)
    np.testing.assert_array_equal(load_signal(path)[0], signal.astype(np.float32))
