"""One file a corpus: its card, and how its file names are read. `ser_lib.data.CORPORA` has all."""
