"""Every cluster of an account, and what would be lost with its key: `chaos kms doctor --all`."""
