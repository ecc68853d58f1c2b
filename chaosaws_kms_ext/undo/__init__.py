"""An undo as data, and the parts that replay it, so that nothing stays broken."""
