"""The mime types by which notebooks hand data to the report, beside what they show."""

from __future__ import annotations

__all__ = ["FINDINGS_MIME", "RESULTS_MIME"]

FINDINGS_MIME = "application/vnd.ser.findings+json"
"""`{"sentences": [html, ...]}`: what a notebook learned."""
RESULTS_MIME = "application/vnd.ser.results+json"
"""`{"records": [...]}`: records of `results.json`."""
