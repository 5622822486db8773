"""The loop that looks after the models: what it watches, when it acts, and its evidence."""
