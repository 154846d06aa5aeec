"""What the silence of a corpus gives away: whose clip it is, before anybody speaks.

A model that is tested on clips of known speakers may recognise them by their room or by the
editor's digital silence, which no new recording has.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

N_FOLDS = 5
MIN_CLIPS_EACH = 10  # of a group, to learn from

# Of what guessing leaves to be told, so much must be told at least to be worth a word.
MIN_TOLD = 0.1


class Told(NamedTuple):
    """How many clips are assigned to their group by their silence, `accuracy`, and by a guess."""

    is_examined: np.ndarray
    accuracy: float
    chance: float
    is_clear: bool
    """Whether the 95 % interval (Wilson) lies above chance by `MIN_TOLD` of the rest."""


def tell_by_silence(openings: np.ndarray, groups: pd.Series, copies: pd.Series) -> Told | None:
    """Assign clips to groups by `opening_silence`, cross-validated; None where there is too little.

    Parameters
    ----------
    openings : ndarray, shape (n_clips, n_values)
        From `ser_lib.features.acoustic.opening_silence`; clips without an opening are left out.
    groups : pandas.Series
        Speaker or class of each clip; empty where it is unknown.
    copies : pandas.Series
        What copies of one sound have in common: one of them is examined.
    """
    from scipy.stats import binomtest
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    is_usable = ((openings[:, 1] > 0) & (groups != "") & ~copies.duplicated()).to_numpy()
    enough = groups[is_usable].value_counts()
    enough = enough[enough >= MIN_CLIPS_EACH]
    rows = is_usable & groups.isin(enough.index).to_numpy()
    if len(enough) < 2:
        return None
    model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis("lsqr", shrinkage="auto"))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    truth = groups[rows].to_numpy()
    is_right = cross_val_predict(model, openings[rows, 2:], truth, cv=folds) == truth
    chance = float(enough.max() / len(truth))
    low = binomtest(int(is_right.sum()), len(truth)).proportion_ci(method="wilson").low
    is_clear = bool(low > chance + MIN_TOLD * (1 - chance))
    return Told(rows, float(is_right.mean()), chance, is_clear)
