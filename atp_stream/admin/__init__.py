"""Kafka and registry from the operator's side: topics, schemas, doctor, what has to hold before a worker starts."""
