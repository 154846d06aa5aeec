"""From a signal to an array: `spectral`, `acoustic`, pretrained `encoders`.

`registry` names them, `extraction` computes them for all clips and keeps the results.
"""
