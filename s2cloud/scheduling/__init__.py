"""Floor 6: where and when products and blocks are computed."""
