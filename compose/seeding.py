"""Registering the declaration with Feast."""

from churn.settings import Settings


def apply_feast(settings: Settings) -> str:
    """Write entity, views and service into Feast's registry; returns a sentence about it."""
    from feature_repo.declared import load
    from feature_repo.store import apply, default_registry

    declaration = load(settings.declaration)
    registry = settings.feast_registry or default_registry(settings.data_dir)
    redis_url = settings.redis_url.get_secret_value()
    apply(
        declaration, project=settings.feast_project, redis_url=redis_url, registry=registry, data_dir=settings.data_dir
    )
    return f"Feast project {settings.feast_project}: {len(declaration.features)} features in service churn_v1"
