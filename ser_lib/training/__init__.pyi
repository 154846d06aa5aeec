from .fit import FitResult as FitResult
from .fit import FoldArrays as FoldArrays
from .fit import fit_fold as fit_fold
from .fit import fit_network as fit_network
from .fit import gather_fold as gather_fold
from .loop import predict_rows as predict_rows
from .loop import train_network as train_network
from .settings import TrainingSettings as TrainingSettings
from .speaker_normalisation import normalise as normalise

__all__ = [
    "FitResult",
    "FoldArrays",
    "TrainingSettings",
    "fit_fold",
    "fit_network",
    "gather_fold",
    "normalise",
    "predict_rows",
    "train_network",
]
