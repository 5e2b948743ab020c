"""For people who want to see it work: made-up events, what comes out, and both at once."""
