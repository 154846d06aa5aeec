from .explorer import Explorer as Explorer
from .server import build_app as build_app
from .server import run_app as run_app
