"""Faust made batch-wise and transactional. Knows nothing of ATP (design sections 5 and 6)."""
