"""Sound: files (`io`), arrays (`signal`), and what is done to them on purpose.

A signal is a float32 array of shape (n_samples,) in [-1, 1], mono. `augmentation` changes training
clips, `corruptions` test clips; `voice_activity` says where somebody speaks.
"""
