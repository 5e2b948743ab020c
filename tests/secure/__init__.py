"""A Kafka and a registry that demand TLS, logins and permissions: what the tests of those share."""
