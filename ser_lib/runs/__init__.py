"""A study under a protocol with a seed: trained once, stored, and read from then on.

runner      plans runs, finds stored ones, trains what is missing
store       files of a run; other results that are kept by what decides them
results     runs gathered by study, model and protocol: scores, records, ensembles
costs       numbers, bytes and milliseconds of each model
tuning      the search for settings on validation speakers
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
