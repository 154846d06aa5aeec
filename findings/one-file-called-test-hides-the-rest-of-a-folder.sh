#!/usr/bin/env bash
# datasets 5.2.0 (Hugging Face), Python 3.11: in a folder of recordings one name decides which are loaded.
#
# Guess: `audiofolder` gives all recordings of a folder, labelled by their folders; a folder called
#        `test` is a split of its own, and whatever is in no split's folder is training.
# Found: the words of splits (train, dev, val, test, eval and their longer forms) count in names of files
#        too, between any of `-._ /`, digits and ends, and as soon as one file has one, only files with
#        such a word are loaded: a check of the microphone beside the clips, `bob_test.wav`, leaves that
#        one recording, as the split `test`. Folders called `train` and `test` hide every other folder.
#        Nothing is said of the rest.
# Seen:  4 clips: train 4 | and sad/bob_test.wav: test 1 | and sad/bob-dev-3.wav: validation 1
#        | and intro.wav: train 5 | train/ 4, test/ 1, extra/ 2: train 4, test 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0 soundfile==0.14.0 2>/dev/null
cat > "$work/run.py" <<'PY'
import logging
import sys
import tempfile
from pathlib import Path

import datasets
import numpy as np
import soundfile

CLIPS = ["happy/ann_1.wav", "happy/bob_1.wav", "sad/ann_2.wav", "sad/bob_2.wav"]
warned = []
handler = logging.Handler(logging.WARNING)
handler.emit = warned.append
logging.getLogger().addHandler(handler)
datasets.logging.enable_propagation()


def loaded(names: list[str]) -> str:
    """Write these recordings into a folder; return how many of them each split has."""
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1], prefix="corpus"))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.zeros(800), 8_000)
    builder = datasets.load_dataset_builder("audiofolder", data_dir=str(folder), cache_dir=sys.argv[1])
    return ", ".join(f"{split} {len(files)}" for split, files in builder.config.data_files.items())


split_folders = [f"train/{one}" for one in CLIPS] + ["test/happy/x.wav", "extra/sad/y.wav", "extra/sad/z.wav"]
corpora = [
    CLIPS, [*CLIPS, "sad/bob_test.wav"], [*CLIPS, "sad/bob-dev-3.wav"], [*CLIPS, "intro.wav"], split_folders
]
seen = [loaded(names) for names in corpora]
print("datasets", datasets.__version__)
print("4 clips: {} | and sad/bob_test.wav: {} | and sad/bob-dev-3.wav: {} | and intro.wav: {} | "
      "train/ 4, test/ 1, extra/ 2: {}".format(*seen))
sys.exit(seen != ["train 4", "test 1", "validation 1", "train 5", "train 4, test 1"] or len(warned) > 0)
PY
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/env/bin/python" "$work/run.py" "$work" 2>/dev/null
