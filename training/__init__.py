"""From the archive to a serving model: point-in-time data, time-ordered split, model, evaluation, registry, batch scores."""
