"""The HTTP face: point queries, predictions, health, metrics and the live page."""
