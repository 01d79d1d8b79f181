"""Floor 0: the words every other floor shares. No I/O, no arrays of pixels."""
