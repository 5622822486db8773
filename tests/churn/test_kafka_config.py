"""Security settings in the words of librdkafka."""

from pydantic import SecretStr

from churn.kafka_config import client_config
from churn.settings import Settings


def test_a_plain_connection_has_no_security_settings() -> None:
    found = client_config(Settings(kafka_bootstrap_servers="a:1,b:2"))
    assert found == {"bootstrap.servers": "a:1,b:2", "security.protocol": "PLAINTEXT"}


def test_sasl_over_tls_names_user_password_and_authority() -> None:
    settings = Settings(
        kafka_security_protocol="SASL_SSL",
        kafka_ssl_ca_file="ca.pem",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="churn",
        kafka_sasl_password=SecretStr("s3cret"),
    )
    assert client_config(settings) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "churn",
        "sasl.password": "s3cret",
    }
    assert "s3cret" not in repr(settings)


def test_tls_without_sasl_uses_the_systems_authorities_unless_told() -> None:
    found = client_config(Settings(kafka_security_protocol="SSL"))
    assert found == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "SSL"}
