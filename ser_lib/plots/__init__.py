"""Figures: draw numbers on an Axes and return it.

style       the style sheet, sizes and colours; a value with its interval
signals     one clip: waveform, spectrogram
training    models: learning curves, confusions, recall of each class, scores with intervals
timeline    a long recording over time

Nothing is computed here that could be called a result: scores, counts and spectrograms come in.
Axes are labelled with units, emotions have their fixed colours and are always named as well,
scores start at 0 with chance drawn, intervals are drawn and never bare bars. A function draws on
`ax`, or on those of a new figure where it is None, and returns what it drew on.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
