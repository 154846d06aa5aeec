from .build import evaluate_cross_corpus as evaluate_cross_corpus
from .build import fit_bundle as fit_bundle
from .refit import summarise_run as summarise_run
