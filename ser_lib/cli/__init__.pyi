from .main import app as app
from .predict import run_prediction as run_prediction

__all__ = ["app", "run_prediction"]
