"""Faults: what is injected, the campaign that injects it, the checker that knows what must come out all the same."""
