"""Whether a live cluster is right: changes log, changelog, outputs, dead letters and offsets held against each other.

Three steps: a cut through the changelog that no transaction crosses (changelog.py); everything up to that cut, sorted
by item in a temporary RocksDB (replay.py, outputs.py); then item by item (judge.py). Nothing of it grows in memory.
"""
