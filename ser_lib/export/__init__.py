"""From a study to a bundle: fitted on all speakers, and tested on other corpora.

build   `fit_bundle`, and the test of a finished bundle on other corpora
refit   the network or head fitted again on everybody; calibration on held-out speakers
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
