"""For maintainers; the Makefile runs them."""
