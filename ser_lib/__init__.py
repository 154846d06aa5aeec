"""Speech emotion recognition, honestly.

The way of the data, and where each step lives:

    corpora    a corpus on disk -> a clip table (one row a clip)
    splits     a clip table -> folds, by a named protocol; audit refuses leaks
    features   clips -> arrays, cached by content; augment changes signals
    models     untrained models, one file a family
    training   one model on one fold -> probabilities
    studies    the published systems, as data
    runs       a study under a protocol with a seed -> stored predictions
    metrics    predictions -> UAR, WA, intervals by speaker
    plots      numbers -> figures
    notebook   what notebooks import
    report     notebooks -> one HTML file

Importing the package loads none of it: `import ser_lib.features` and so on when needed.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
