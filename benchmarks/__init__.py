"""Measurements of the gate; each package has one entry, python -m benchmarks.detection for example."""
