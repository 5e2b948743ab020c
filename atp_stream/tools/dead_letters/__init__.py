"""The commands `atp-stream dead-letters`: letters listed, shown, checked, and sent back (docs/operations.md)."""
