"""The same security settings in the words of Faust."""

import pytest
from faust import SASLCredentials, SSLCredentials
from faust.types.auth import AuthProtocol, SASLMechanism
from pydantic import SecretStr

from churn.settings import Settings
from stream_processors.app import _credentials


def sasl(protocol: str) -> SASLCredentials:
    found = _credentials(
        Settings(
            kafka_security_protocol=protocol,
            kafka_sasl_mechanism="SCRAM-SHA-256",
            kafka_sasl_username="churn",
            kafka_sasl_password=SecretStr("s3cret"),
        )
    )
    assert isinstance(found, SASLCredentials)
    return found


def test_a_plain_connection_has_no_credentials() -> None:
    assert _credentials(Settings()) is None


def test_sasl_carries_mechanism_user_and_password() -> None:
    found = sasl("SASL_PLAINTEXT")
    assert (found.mechanism, found.username, found.password) == (SASLMechanism.SCRAM_SHA_256, "churn", "s3cret")
    assert (found.protocol, found.ssl_context) == (AuthProtocol.SASL_PLAINTEXT, None)


def test_sasl_over_tls_checks_the_brokers_name() -> None:
    found = sasl("SASL_SSL")
    assert found.protocol == AuthProtocol.SASL_SSL
    assert found.ssl_context is not None
    assert found.ssl_context.check_hostname


def test_tls_alone_carries_a_context() -> None:
    found = _credentials(Settings(kafka_security_protocol="SSL"))
    assert isinstance(found, SSLCredentials)
    assert found.context.check_hostname


def test_an_authority_that_is_missing_is_an_error_at_the_start() -> None:
    with pytest.raises(FileNotFoundError):
        _credentials(Settings(kafka_security_protocol="SSL", kafka_ssl_ca_file="away.pem"))
