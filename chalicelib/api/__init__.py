"""REST: routing, problems, and one module per resource."""
