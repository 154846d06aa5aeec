from .batch import find_recordings as find_recordings
from .batch import predict_many as predict_many
from .bundle import Bundle as Bundle
from .bundle import find_bundle as find_bundle
from .bundle import installed_bundles as installed_bundles
from .bundle import load_bundle as load_bundle
from .bundle import write_bundle as write_bundle
from .model_card import card_table as card_table
from .model_card import card_text as card_text
from .model_card import cross_corpus_figures as cross_corpus_figures
from .model_card import cross_corpus_table as cross_corpus_table
from .prediction import Prediction as Prediction
from .predictor import Predictor as Predictor
from .streaming import LiveState as LiveState
from .streaming import timeline as timeline
from .streaming import timeline_table as timeline_table
from .streaming import update_live as update_live

__all__ = [
    "Bundle",
    "LiveState",
    "Prediction",
    "Predictor",
    "card_table",
    "card_text",
    "cross_corpus_figures",
    "cross_corpus_table",
    "find_bundle",
    "find_recordings",
    "installed_bundles",
    "load_bundle",
    "predict_many",
    "timeline",
    "timeline_table",
    "update_live",
    "write_bundle",
]
