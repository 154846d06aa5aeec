"""What single notebooks compute, tabulate and draw; not part of the library."""
