"""Speech emotion recognition, honestly.

The way of the data, and where each step lives:

    corpora      a corpus on disk -> a clip table (one row a clip); pooled joins several, download
                 fetches one; audio decodes and checks
    splits       a clip table -> folds, by one of the protocols; audit refuses leaks
    dataset_audit   what anybody's data and split give away: fingerprints find copies, clip_checks
                 damaged clips; audit_tables reads tables, audit_report writes reports
    features     a signal -> an array; augment changes signals; extraction does it for all clips;
                 descriptors are ours for the network from scratch,
                 opensmile_functionals those of the classical reference
    encoders     pretrained networks of others, as features; their weights
    normalisation what is known of a test speaker beforehand
    models       untrained models, one file a family
    training     one model on one fold -> probabilities; epochs is its loop for networks,
                 training_settings what it is told; rows and fold_inputs are what it reads;
                 auxiliary adds clips of other corpora
    metrics      predictions -> UAR, WA, intervals by speaker; shares of rows
    studies      the published systems, as data
    runs         a study under a protocol with a seed -> predictions, kept by store
    results      runs -> scores; tables and wording lay them out
    transfer     what heads on an encoder came to, and ours from scratch; ensembles of stored runs;
                 trial_log, all that was tried
    tuning       a search on validation speakers; search says over what
    plots        numbers -> figures
    notebook     what notebooks import; explore is the interactive one, with closeup and heard
    report       notebooks -> one HTML file, by way of execution, chapters and render; readme
    bundles      a study fitted on all speakers, in one folder: bundling makes it (final_network or
                 final_head, judging, cards), bundle_checks reads it
    predict      a bundle and a recording -> answers; voice, domain and confidence say what speaks
                 against them; recordings decodes, batch, timeline and live answer more than once
    app          the same in a browser (app_views), commands and long_recordings in a terminal
    bench        how fast all this is here
    __main__     the `ser` command

Importing the package loads none of it: `import ser_lib.features` and so on when needed.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"

import os

from ser_lib.paths import cache_dir

# librosa's functions are compiled at their first use and kept. Kept inside the environment, clones
# that share one could spoil each other's: numba then crashes whoever reads them.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_dir() / "numba"))
