from .batch import find_recordings as find_recordings
from .batch import predict_many as predict_many
from .bundle import Bundle as Bundle
from .bundle import installed_bundles as installed_bundles
from .bundle import load_bundle as load_bundle
from .model_card import card_table as card_table
from .model_card import card_text as card_text
from .model_card import cross_corpus_figures as cross_corpus_figures
from .model_card import cross_corpus_table as cross_corpus_table
from .prediction import Prediction as Prediction
from .predictor import Predictor as Predictor
from .streaming import timeline as timeline
from .streaming import timeline_table as timeline_table

__all__ = [
    "Bundle",
    "Prediction",
    "Predictor",
    "card_table",
    "card_text",
    "cross_corpus_figures",
    "cross_corpus_table",
    "find_recordings",
    "installed_bundles",
    "load_bundle",
    "predict_many",
    "timeline",
    "timeline_table",
]
