"""What can be measured and traced of a worker: metrics for Prometheus, spans for OpenTelemetry, a line per dead letter.

Everything here only looks: it is told of what was committed, and nothing of it can change or hold up a transaction.
"""
