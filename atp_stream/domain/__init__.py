"""What ATP means: pure rules on frozen values. Standard library only (design sections 3 and 7)."""
