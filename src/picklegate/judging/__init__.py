"""Trace -> verdict: features of each event, the model's score, and what needs no score."""
