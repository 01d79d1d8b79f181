"""Events in, products out: what runs where nobody types commands."""
