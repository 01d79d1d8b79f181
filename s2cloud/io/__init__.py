"""Floor 5: the only doors through which pixels and metadata enter and leave."""
