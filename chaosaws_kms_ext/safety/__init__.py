"""May we, and how it is put back: guard, undo, journal, replay."""
