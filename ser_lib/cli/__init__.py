"""The `ser` command: its options (`main`) and prediction (`predict`)."""
