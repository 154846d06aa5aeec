"""The `ser` command.

main        its sub-commands and their options
predict     what `ser predict` does
extras      what says which extra brings a package that is not installed
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
