"""Connection settings in the words of the Kafka clients."""

from churn.settings import Settings

ClientConfig = dict[str, str | int | float | bool]
"""Settings in librdkafka's words."""


def client_config(settings: Settings) -> ClientConfig:
    """Return librdkafka's connection settings.

    >>> client_config(Settings())["bootstrap.servers"]
    '127.0.0.1:9092'
    """
    config: ClientConfig = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_ssl_ca_file:
        config |= {"ssl.ca.location": settings.kafka_ssl_ca_file}
    if settings.kafka_sasl_mechanism:
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_sasl_username,
            "sasl.password": settings.kafka_sasl_password.get_secret_value(),
        }
    return config
