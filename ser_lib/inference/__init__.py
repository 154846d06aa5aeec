"""A bundle on recordings; imports neither Keras nor any network's code."""
