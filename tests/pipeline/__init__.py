"""The whole pipeline on a real Kafka and registry with real worker processes: what its tests share."""
