"""Training: one model on one fold.

settings               `TrainingSettings`: how a network is trained, as data
fit                    gather a fold's arrays, fit a model on them, predict the test rows
loop                   the epochs of a network
checkpoint             what a stopped training needs to go on
speaker_normalisation  takes each speaker's own level out of features
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
