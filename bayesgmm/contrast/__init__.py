"""What a point answer, EM or k-means, would have got wrong."""
