from .clip_view import ClipPlayer as ClipPlayer
from .clip_view import view_clip as view_clip
from .explorer import Explorer as Explorer
from .server import build_app as build_app
from .server import run_app as run_app
