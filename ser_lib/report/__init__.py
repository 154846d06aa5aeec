"""From notebooks to one HTML file.

build      run all notebooks on a corpus and write the report
execution  run notebooks headless, side by side
html       lay executed notebooks out as one page
notebook   what a notebook imports: show figures, tables, sounds and findings
tables     results as tables of strings
theme/     template, styles and script of the page

`notebook` is imported by its own name (`from ser_lib.report import notebook as nb`), because it
applies the figure style.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
