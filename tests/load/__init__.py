"""Queries and events at once: neither may starve the other. Run by `make load`, not by `make test`."""
