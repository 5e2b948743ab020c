"""What happens to a batch of records: ingest, then decide (design section 4). Joins contracts, domain and streaming."""
