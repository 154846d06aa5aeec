"""Speak the clips of the `demo` corpus with espeak-ng and rules for emotional prosody.

Twelve voices say two statements in eight emotions, twice each: 384 clips, named as RAVDESS names
its own, 16 kHz mono Ogg/Opus. Run ``python -m tools.make_demo_clips``. All randomness is
seeded by clip names, so a second run on one machine decodes to the same samples.

The literature gives directions, and `EMOTIONS` follows them; the amounts are this project's own,
set so that neighbouring emotions overlap. Nothing here loads the corpus for an experiment.

References
----------
.. [1] K. R. Scherer, "Vocal communication of emotion: A review of research paradigms", Speech
   Communication 40, 2003: level, pitch, range and rate under stress, anger, fear, sadness, joy.
.. [2] P. N. Juslin and P. Laukka, "Communication of emotions in vocal expression and music
   performance", Psychological Bulletin 129, 2003: cue patterns by emotion, high-frequency energy
   included; what they say of tenderness stands in here for calm.
.. [3] I. R. Murray and J. L. Arnott, "Toward the simulation of emotion in synthetic speech",
   J. Acoust. Soc. Am. 93, 1993: voice quality (breathy, chest tone), and disgust as very slow, low.
.. [4] M. Schröder, "Emotional speech synthesis: A review", Eurospeech 2001: that rules of this kind
   (pitch, range, tempo, loudness, voice quality) suit formant synthesis; surprise among them.
.. [5] R. Banse and K. R. Scherer, "Acoustic profiles in vocal emotion expression", J. Personality
   and Social Psychology 70, 1996: hot anger and panic fear both loud and high, spectral balance.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import astuple, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import soundfile
from scipy.ndimage import map_coordinates, uniform_filter1d
from scipy.signal import resample_poly
from tqdm import tqdm

from ser_lib.data.demo import CLIPS_DIR

SAMPLE_RATE_HZ = 16_000  # Opus takes 8, 12, 16, 24 or 48 kHz; 16 is enough for speech
ESPEAK_RATE_HZ = 22_050  # what every formant voice of espeak-ng writes
OPUS_COMPRESSION = 0.94  # libsndfile's scale, here about 25 kbit/s, container included
WAV_HEADER_BYTES = 44  # espeak-ng writes a plain header, without a usable length, to a pipe
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
TAKES = ("01", "02")
NEUTRAL_LEVEL_DBFS = -23.0  # RMS of neutral speech; leaves room for louder emotions
PEAK_LIMIT = 0.89  # -1 dBFS, because Opus may overshoot a little
PITCH_STEPS_PER_SEMITONE = 5.5  # of espeak-ng's -p, measured with pYIN between -p 10 and -p 90
TREMOR_HZ = (4.5, 7.5)  # rate of the regular part of a tremor
TREMOR_SEMITONES = 1.6  # pitch swing at a depth of 1; amplitude swings by the depth itself
MARGIN_S = (0.08, 0.20)  # silence kept before and after the speech
DRIFT_KNOT_S = 0.06  # spacing of the irregular part of a tremor
ROOM_NOISE_DBFS = (-62.0, -50.0)


@dataclass(frozen=True)
class Prosody:
    """How something is said, relative to the voice's own neutral (ratios: 1, shifts: 0)."""

    rate_ratio: float
    pitch_shift_semitones: float
    pitch_range_ratio: float
    level_db: float
    tilt_db_per_octave: float  # positive: brighter, a tenser voice
    tremor_depth: float  # share of the amplitude, in [0, 1]
    breath_db: float  # noise under the voice, relative to it


# The numbers in comments are the references above that give the direction.
EMOTIONS: dict[str, tuple[Prosody, str]] = {
    #                rate  pitch range level  tilt tremor breath   final contours to draw from
    "01": (Prosody(1.00, +0.0, 1.00, +0.0, +0.0, 0.02, -36.0), "."),  # neutral: the reference
    "02": (Prosody(0.90, -1.0, 0.75, -3.5, -1.0, 0.02, -30.0), "."),  # calm [2]: soft, slow, even
    "03": (Prosody(1.10, +3.5, 1.70, +3.0, +1.2, 0.03, -36.0), "!."),  # happy [1-3]: lively
    "04": (Prosody(0.80, -1.8, 0.50, -6.5, -2.2, 0.08, -25.0), "."),  # sad [1-3]: quiet, dull
    "05": (Prosody(1.12, +2.0, 1.50, +6.5, +2.4, 0.05, -38.0), "!."),  # angry [1, 2, 5]: loud, hard
    "06": (Prosody(1.22, +4.5, 0.80, +2.0, +0.8, 0.24, -27.0), ".?"),  # fearful [1, 2, 5]: shaking
    "07": (Prosody(0.78, -3.0, 1.15, -2.0, +0.2, 0.10, -32.0), "."),  # disgust [3]: slow, grumbled
    "08": (Prosody(1.04, +5.5, 2.10, +1.5, +0.0, 0.02, -26.0), "?!"),  # surprised [4]: rising
}

# One standard deviation of what a speaker makes of an emotion, and of what a take adds to that.
SPEAKER_SPREAD = Prosody(1.04, 0.5, 1.12, 0.9, 0.30, 0.02, 2.0)
TAKE_SPREAD = Prosody(1.03, 0.4, 1.12, 0.7, 0.25, 0.02, 1.5)

# What still sounds like speech.
LOWEST = Prosody(0.65, -8.0, 0.2, -9.0, -4.0, 0.0, -50.0)
HIGHEST = Prosody(1.45, 10.0, 3.0, 9.0, 4.0, 0.45, -16.0)


@dataclass(frozen=True)
class Voice:
    """A speaker: an espeak-ng voice, its habits, and how strongly it shows emotion."""

    name: str  # accent+variant; plain `en-gb` is left out because it ignores its variant
    pitch_steps: float  # espeak-ng's -p, 0 to 99
    rate_wpm: float  # words per minute
    tract_ratio: float  # above 1: a shorter vocal tract, so higher formants
    tilt_db_per_octave: float
    level_db: float  # distance to the microphone
    strength: float  # 1: the emotions as in the table; below 1: a weak actor


# As in RAVDESS, odd numbers are male and even ones female.
VOICES: dict[str, Voice] = {
    "01": Voice("en-us+m1", 62, 172, 1.00, +0.0, +0.5, 1.05),
    "02": Voice("en-us+f2", 46, 178, 1.00, +0.3, -0.5, 1.00),
    "03": Voice("en-gb-x-rp+m3", 70, 165, 1.03, -0.3, -0.5, 0.80),
    "04": Voice("en-gb-x-rp+f1", 55, 168, 1.02, +0.0, +0.0, 1.20),
    "05": Voice("en-gb-scotland+m7", 52, 160, 0.96, +0.2, +0.5, 1.10),
    "06": Voice("en-us-nyc+f3", 52, 185, 1.04, -0.2, +0.5, 0.90),
    "07": Voice("en-gb-x-gbcwmd+m5", 58, 176, 0.98, +0.4, -0.5, 1.05),
    "08": Voice("en-gb-scotland+f4", 60, 166, 0.98, -0.3, -0.5, 0.80),
    "09": Voice("en-029+m2", 66, 182, 1.01, -0.1, +0.3, 1.15),
    "10": Voice("en-gb-x-gbclan+f5", 44, 172, 0.97, +0.2, +0.5, 1.00),
    "11": Voice("en-us+m4", 56, 164, 0.95, -0.4, +0.0, 0.90),
    "12": Voice("en-029+f2", 58, 180, 1.06, +0.1, -0.3, 1.00),
}


def make_rng(name: str) -> np.random.Generator:
    """Seed a generator by a name, alike in every process (the built-in `hash` is not)."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))


def _to_scale(prosody: Prosody) -> np.ndarray:
    """Numbers that add up: ratios become logarithms. Shape (7,)."""
    rate_ratio, semitones, range_ratio, *rest = astuple(prosody)
    return np.array([np.log(rate_ratio), semitones, np.log(range_ratio), *rest])


def draw_prosody(emotion: str, actor: str, rng: np.random.Generator) -> Prosody:
    """Draw what one take sounds like: the rule, the speaker's version of it, the moment's chance.

    The speaker's version is the same in all takes, so it has a generator of its own.
    """
    neutral, rule = _to_scale(EMOTIONS["01"][0]), _to_scale(EMOTIONS[emotion][0])
    habit = make_rng(f"habit-{emotion}-{actor}").standard_normal(7) * _to_scale(SPEAKER_SPREAD)
    chance = rng.standard_normal(7) * _to_scale(TAKE_SPREAD)
    scale = neutral + VOICES[actor].strength * (rule - neutral) + habit + chance
    rate, semitones, pitch_range, *rest = scale.clip(_to_scale(LOWEST), _to_scale(HIGHEST)).tolist()
    return Prosody(float(np.exp(rate)), semitones, float(np.exp(pitch_range)), *rest)


def speak(text: str, voice: Voice, prosody: Prosody) -> np.ndarray:
    """Let espeak-ng say a text, at `ESPEAK_RATE_HZ`; `warp_time` is made up for in advance."""
    semitones = prosody.pitch_shift_semitones - 12 * np.log2(voice.tract_ratio)
    pitch = np.clip(voice.pitch_steps + PITCH_STEPS_PER_SEMITONE * semitones, 0, 99)
    rate_wpm = voice.rate_wpm * prosody.rate_ratio / voice.tract_ratio
    command = ["espeak-ng", "-v", voice.name, "-p", f"{pitch:.0f}", "-s", f"{rate_wpm:.0f}"]
    ssml = f'<prosody range="{prosody.pitch_range_ratio:.0%}">{text}</prosody>'
    done = subprocess.run([*command, "-m", "--stdout", ssml], capture_output=True, check=True)
    return np.frombuffer(done.stdout[WAV_HEADER_BYTES:], dtype="<i2") / 32768


def warp_time(
    signal: np.ndarray, tract_ratio: float, depth: float, rng: np.random.Generator
) -> np.ndarray:
    """Play faster or slower, which moves formants, with a trembling speed and amplitude."""
    time_s = np.arange(int(len(signal) / tract_ratio)) / ESPEAK_RATE_HZ
    wobble = np.sin(2 * np.pi * (rng.uniform(*TREMOR_HZ) * time_s + rng.uniform()))
    knots_s = np.arange(0, time_s[-1] + DRIFT_KNOT_S, DRIFT_KNOT_S)
    drift = np.interp(time_s, knots_s, rng.standard_normal(len(knots_s)))
    tremor = depth * (wobble + drift) / 2
    speed = tract_ratio * 2 ** (TREMOR_SEMITONES * tremor / 12)
    warped = map_coordinates(signal, [np.cumsum(speed)], order=3, mode="constant")
    return warped * (1 + tremor)


def trim(signal: np.ndarray, threshold_db: float = -38.0) -> np.ndarray:
    """Cut what lies below the threshold, relative to the loudest 20 ms, off both ends."""
    envelope = np.sqrt(uniform_filter1d(signal**2, SAMPLE_RATE_HZ // 50).clip(min=0))
    loud = np.flatnonzero(envelope > envelope.max() * 10 ** (threshold_db / 20))
    return signal[loud[0] : loud[-1] + 1]


def tilt_spectrum(signal: np.ndarray, tilt_db_per_octave: float) -> np.ndarray:
    """Raise (or lower) the spectrum by this many decibels an octave around 1 kHz."""
    frequencies_hz = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE_HZ).clip(min=100)
    gain = 10 ** (tilt_db_per_octave * np.log2(frequencies_hz / 1000) / 20)
    return np.fft.irfft(np.fft.rfft(signal) * gain, len(signal))


def add_breath(signal: np.ndarray, breath_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise that follows the speech's envelope, brighter than the voice itself."""
    envelope = np.sqrt(uniform_filter1d(signal**2, SAMPLE_RATE_HZ // 25).clip(min=0))
    noise = envelope * tilt_spectrum(rng.standard_normal(len(signal)), 2.0)
    return signal + noise * 10 ** (breath_db / 20) * signal.std() / noise.std()


def set_level(signal: np.ndarray, level_dbfs: float) -> np.ndarray:
    """Scale to an RMS level, or to the highest one that keeps the peak in bounds."""
    gain = 10 ** (level_dbfs / 20) / signal.std()
    return signal * min(gain, PEAK_LIMIT / np.abs(signal).max())


def add_room(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put short margins around the speech, and the room's noise under everything."""
    margins = [int(rng.uniform(*MARGIN_S) * SAMPLE_RATE_HZ) for _ in range(2)]
    padded = np.pad(signal, margins)
    noise = tilt_spectrum(rng.standard_normal(len(padded)), -3.0)
    return padded + noise / noise.std() * 10 ** (rng.uniform(*ROOM_NOISE_DBFS) / 20)


def compute_clip(emotion: str, statement: str, take: str, actor: str) -> np.ndarray:
    """One clip at `SAMPLE_RATE_HZ`, shape (n_samples,), in [-1, 1]."""
    rng, voice = make_rng(f"{emotion}-{statement}-{take}-{actor}"), VOICES[actor]
    prosody = draw_prosody(emotion, actor, rng)
    text = STATEMENTS[statement] + rng.choice(list(EMOTIONS[emotion][1]))
    signal = speak(text, voice, prosody)
    signal = warp_time(signal, voice.tract_ratio, prosody.tremor_depth, rng)
    signal = trim(resample_poly(signal, SAMPLE_RATE_HZ // 50, ESPEAK_RATE_HZ // 50))
    signal = tilt_spectrum(signal, voice.tilt_db_per_octave + prosody.tilt_db_per_octave)
    signal = add_breath(signal, prosody.breath_db, rng)
    signal = set_level(signal, NEUTRAL_LEVEL_DBFS + voice.level_db + prosody.level_db)
    return add_room(signal, rng)


def write_clips(clips_dir: Path = CLIPS_DIR) -> None:
    """Write all clips into a temporary folder, then put it in the place of `clips_dir`."""
    if shutil.which("espeak-ng") is None:
        raise RuntimeError("demo: espeak-ng not found. Run `apt-get install espeak-ng`.")
    keys = list(product(EMOTIONS, STATEMENTS, TAKES, VOICES))
    with tempfile.TemporaryDirectory(dir=clips_dir.parent) as temporary:
        new_dir = Path(temporary) / "clips"
        for emotion, statement, take, actor in tqdm(keys, desc="demo clips", unit="clip"):
            path = new_dir / f"Actor_{actor}/03-01-{emotion}-01-{statement}-{take}-{actor}.opus"
            path.parent.mkdir(parents=True, exist_ok=True)
            signal = compute_clip(emotion, statement, take, actor)
            options = {"subtype": "OPUS", "compression_level": OPUS_COMPRESSION}
            soundfile.write(path, signal, SAMPLE_RATE_HZ, format="OGG", **options)
        if clips_dir.exists():
            os.replace(clips_dir, Path(temporary) / "old")
        os.replace(new_dir, clips_dir)


if __name__ == "__main__":
    write_clips()
