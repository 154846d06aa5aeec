"""The browser app (`server`, what it shows in `views`) and the Jupyter explorer (`explorer`)."""
