"""Pictures made from records alone."""
