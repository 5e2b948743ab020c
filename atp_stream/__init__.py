"""atp-stream: available-to-promise as an exactly-once stream application (design section 1)."""
