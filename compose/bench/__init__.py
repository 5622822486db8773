"""Measurements of the whole system on this machine, with real parts: Kafka, Redis and the workers as processes."""
