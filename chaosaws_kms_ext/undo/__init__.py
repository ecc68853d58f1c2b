"""An undo as data, and everybody who replays it: nothing stays broken."""
