"""Audit anybody's recordings, table and split: leaks, copies, contradictions, damaged clips.

report          a corpus or a folder -> its report; reports as text, JSON and tables
dataset         what clips, table and split share, and which facts contradict each other
tables          a folder, CSV tables of any column names -> one table of clips
clip_quality    damaged clips, odd lengths and formats
silence         whose clip it is, told by what is heard before anybody speaks
fingerprint     pictures of clips in which copies look alike
duplicates      fingerprints -> pairs of copies

The guard that every split of our own runs passes is `ser_lib.data.leakage`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
