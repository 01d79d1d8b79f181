"""Floor 2: one stage per module, pure functions on the arrays of a block or of a scene."""
