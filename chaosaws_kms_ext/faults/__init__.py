"""Every way to lose a key, one file each: what it would do, how that is undone, doing it."""
