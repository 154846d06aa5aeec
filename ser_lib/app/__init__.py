"""Models and clips to try by hand: in a browser, and in JupyterLab.

server      the browser app, served on this machine only
views       what it shows, as HTML and figures
clip_view   a clip to look at and to play, in JupyterLab and on a page without a kernel
stored_models  what stored runs predict for each clip
explorer    the Jupyter explorer of both, and of recordings of one's own
templates   what all of them show as HTML, filled in
theme/      templates, style sheets, and what runs in JupyterLab's page
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
