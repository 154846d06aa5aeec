"""Bundles and predictions: a trained model applied to recordings; loads neither Keras nor pandas.

    bundle          what a bundle holds; writing, loading, finding one
    validation      checks of a bundle's files before anything uses them
    predictor       `Predictor`: a bundle on files, signals and known voices
    prediction      `Prediction`: emotion, confidence, warnings
    out_of_domain   warnings, and how unlike the training clips a recording is
    batch           many recordings: found, predicted, written, continued
    streaming       windows of long recordings, and live sound
    model_card      what a bundle's facts say, as text and as tables

>>> from ser_lib.inference import Predictor
>>> Predictor.load("cnn-ravdess").bundle.kind
'network'
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
