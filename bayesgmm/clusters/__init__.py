"""Which rows belong together: memberships, co-clustering, consensus."""
