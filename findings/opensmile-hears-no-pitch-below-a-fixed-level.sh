#!/usr/bin/env bash
# opensmile 2.6.0 and praat-parselmouth 0.4.7, Python 3.11: eGeMAPS has no pitch for a quiet copy.
#
# Guess: pitch, jitter and the length of voiced parts are properties of a voice, and do not depend on the
#        level of a float recording, which loses nothing when it is scaled.
# Found: eGeMAPS sets the pitch of a frame to 0 where its effective value is below 0.001 of full scale
#        (the tone below: between -55 and -58 dB), and all that rests on pitch with it. A phrase whose
#        syllables die away has voiced parts half as long when it is 20 dB lower, as one corpus may be
#        to another, and a quarter as long at 30 dB; Praat, which measures silence against the loudest
#        part, finds the same frames voiced in each copy.
# Seen:  steady vowel at -55 dB: voiced 1.00 | at -60 dB: 0.00, mean pitch 0 semitones, Praat 1.00
#        | phrase: length of voiced parts 0.49 s | 20 dB lower: 0.25 s | 30 dB lower: 0.13 s; Praat, share voiced: 0.43 each
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  opensmile==2.6.0 praat-parselmouth==0.4.7 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import numpy as np
import opensmile
import parselmouth

RATE_HZ = 16_000
frames, clip = (
    opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, level)
    for level in (opensmile.FeatureLevel.LowLevelDescriptors, opensmile.FeatureLevel.Functionals)
)
PITCH = "F0semitoneFrom27.5Hz_sma3nz"


def vowel(seconds: float) -> np.ndarray:
    """Return a buzz with a moving pitch and an effective value of 1."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(160 + 20 * np.sin(2 * np.pi * 0.7 * time_s)) / RATE_HZ
    signal = sum(np.sin(k * phase) / k for k in range(1, 24))
    return signal / np.sqrt(np.mean(signal**2))


def at(signal: np.ndarray, level_db: float) -> np.ndarray:
    return (signal * 10 ** (level_db / 20)).astype(np.float32)


def voiced(signal: np.ndarray) -> float:
    """Return the share of frames with a pitch by openSMILE."""
    return float((frames.process_signal(signal, RATE_HZ)[PITCH] > 0).mean())


def voiced_by_praat(signal: np.ndarray) -> float:
    pitch = parselmouth.Sound(signal.astype(float), RATE_HZ).to_pitch()
    return float((pitch.selected_array["frequency"] > 0).mean())


steady = vowel(2)
loud, quiet = at(steady, -55), at(steady, -60)
mean_pitch = float(clip.process_signal(quiet, RATE_HZ)[f"{PITCH}_amean"].iloc[0])
# Four syllables of half a second, each of which falls by 40 dB, and pauses.
syllable = vowel(0.5) * 10 ** (-40 * np.linspace(0, 1, RATE_HZ // 2) / 20)
phrase = np.tile(np.concatenate([np.zeros(RATE_HZ // 5), syllable, np.zeros(RATE_HZ // 5)]), 4)
lengths = [
    float(clip.process_signal(at(phrase, level), RATE_HZ)["MeanVoicedSegmentLengthSec"].iloc[0])
    for level in (-15, -35, -45)
]
praat = [voiced_by_praat(at(phrase, level)) for level in (-15, -35, -45)]
print("opensmile", opensmile.__version__, "parselmouth", parselmouth.__version__)
print(f"steady vowel at -55 dB: voiced {voiced(loud):.2f} | at -60 dB: {voiced(quiet):.2f}, mean pitch "
      f"{mean_pitch:.0f} semitones, Praat {voiced_by_praat(quiet):.2f} | phrase: length of voiced parts "
      f"{lengths[0]:.2f} s | 20 dB lower: {lengths[1]:.2f} s | 30 dB lower: {lengths[2]:.2f} s; "
      f"Praat, share voiced: {' '.join(f'{one:.2f}' for one in praat)}")
sys.exit(not (voiced(loud) > 0.95 and voiced(quiet) == mean_pitch == 0 and voiced_by_praat(quiet) > 0.95
              and lengths[1] < 0.8 * lengths[0] and lengths[2] < 0.8 * lengths[1]
              and max(praat) - min(praat) < 0.02))
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
