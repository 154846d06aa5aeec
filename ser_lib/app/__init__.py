"""Models and clips to try by hand: in a browser, and in JupyterLab.

server      the browser app, served on this machine only
views       what it shows, as HTML and figures
explorer    the Jupyter explorer of clips and of what stored models predict for them
theme/      style sheets of both
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
