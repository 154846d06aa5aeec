from .audit.report import audit_dataset as audit_dataset
from .data import CORPORA as CORPORA
from .data import load_corpus as load_corpus
from .data.leakage import check_split as check_split
from .data.splits import Protocol as Protocol
from .data.splits import make_split as make_split
from .evaluation.metrics import score_predictions as score_predictions
from .evaluation.metrics import uar as uar
from .evaluation.significance import paired_tests as paired_tests
from .features.extraction import extract as extract
from .features.registry import FEATURES as FEATURES
from .features.registry import FeatureSpec as FeatureSpec
from .inference.bundle import load_bundle as load_bundle
from .inference.predictor import Predictor as Predictor
from .models import FAMILIES as FAMILIES
from .models import build_model as build_model
from .report.build import build_report as build_report
from .runs.results import collect as collect
from .runs.runner import run_study as run_study
from .studies import STUDIES as STUDIES
from .studies import get_study as get_study
from .training.fit import fit_fold as fit_fold
from .training.settings import TrainingSettings as TrainingSettings

__version__: str
