#!/usr/bin/env bash
# pydub 0.25.1 with Python 3.11's audioop: a lower frame rate mirrors high tones into the band of speech.
#
# Guess: `set_frame_rate` filters before it leaves samples out, as every resampler does; what the new
#        rate cannot hold is gone.
# Found: there is no filter. A tone of 11 kHz, where the energy of an /s/ lies, becomes one of 5 kHz at
#        16 kHz, hardly quieter than it was; soxr leaves nothing of it. Upwards samples are joined by
#        lines: a tone of 3 kHz at 8 kHz gets an image of 5 kHz at 16 kHz, 10 dB below what was put in.
# Seen:  11 kHz at 44.1 to 16 kHz: pydub 5000 Hz at -2 dB, soxr -114 dB
#        | 3 kHz at 8 to 16 kHz: pydub's image at 5000 Hz -10 dB, soxr's -143 dB
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  pydub==0.25.1 soxr==1.1.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import numpy as np
import soxr
from pydub import AudioSegment

SECONDS, PEAK = 1, 16_000


def tone(frequency_hz: float, rate_hz: int) -> np.ndarray:
    """Return a second of a tone in 16 bits."""
    return (PEAK * np.sin(2 * np.pi * frequency_hz * np.arange(SECONDS * rate_hz) / rate_hz)).astype(np.int16)


def by_pydub(signal: np.ndarray, rate_hz: int, wanted_hz: int) -> np.ndarray:
    segment = AudioSegment(signal.tobytes(), frame_rate=rate_hz, sample_width=2, channels=1)
    return np.array(segment.set_frame_rate(wanted_hz).get_array_of_samples(), float)


def by_soxr(signal: np.ndarray, rate_hz: int, wanted_hz: int) -> np.ndarray:
    return soxr.resample(signal.astype(float), rate_hz, wanted_hz)


def level_db(signal: np.ndarray, rate_hz: int, frequency_hz: float) -> float:
    """Return the level of a frequency in the middle of a signal, over the tone that was put in."""
    middle = signal[len(signal) // 4 : 3 * len(signal) // 4]
    window = np.hanning(len(middle))
    wave = np.exp(-2j * np.pi * frequency_hz * np.arange(len(middle)) / rate_hz)
    return float(20 * np.log10(2 * abs((middle * window * wave).sum()) / window.sum() / PEAK + 1e-9))


def strongest_hz(signal: np.ndarray, rate_hz: int) -> int:
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return round(spectrum.argmax() * rate_hz / len(signal))


down = [resample(tone(11_000, 44_100), 44_100, 16_000) for resample in (by_pydub, by_soxr)]
up = [resample(tone(3_000, 8_000), 8_000, 16_000) for resample in (by_pydub, by_soxr)]
folded, images = ([level_db(one, 16_000, 5_000) for one in pair] for pair in (down, up))
heard = strongest_hz(down[0], 16_000)
print(f"11 kHz at 44.1 to 16 kHz: pydub {heard} Hz at {folded[0]:.0f} dB, soxr {folded[1]:.0f} dB | "
      f"3 kHz at 8 to 16 kHz: pydub's image at 5000 Hz {images[0]:.0f} dB, soxr's {images[1]:.0f} dB")
sys.exit(not (heard == 5_000 and folded[0] > -6 and images[0] > -15 and max(folded[1], images[1]) < -90))
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
