"""What the silence of a corpus gives away: whose clip it is, before anybody speaks.

A model that is tested on clips of known speakers may recognise them by their room or by the
editor's digital silence, which no new recording has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

N_FOLDS = 5
MIN_CLIPS_EACH = 10  # of a group, to learn from

# Of what guessing leaves to be told, so much must be told at least to be worth a word.
MIN_TOLD = 0.1


@dataclass(frozen=True)
class Told:
    """How many clips are assigned to their group by their silence."""

    is_examined: np.ndarray
    """Which clips have an opening and a group of enough clips."""
    n_right: int
    chance: float
    """Share of the largest group, which a guess would find."""

    @property
    def n_clips(self) -> int:
        """How many clips were examined."""
        return int(self.is_examined.sum())

    @property
    def accuracy(self) -> float:
        """Share of clips that are assigned to their own group."""
        return self.n_right / self.n_clips

    @property
    def is_clear(self) -> bool:
        """Whether the 95 % interval (Wilson) lies above chance by a tenth of the rest."""
        from scipy.stats import binomtest

        low = binomtest(self.n_right, self.n_clips).proportion_ci(method="wilson").low
        return bool(low > self.chance + MIN_TOLD * (1 - self.chance))


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
    said = cross_val_predict(model, openings[rows, 2:], truth, cv=folds)
    return Told(rows, int((said == truth).sum()), float(enough.max() / len(truth)))
