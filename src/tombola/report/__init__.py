"""Pages, tables and pictures made from records alone."""
