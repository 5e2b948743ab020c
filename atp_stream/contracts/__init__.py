"""Avro and JSON records to and from domain events, the registry, the topic catalogue (design section 2)."""
