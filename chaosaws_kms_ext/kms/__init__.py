"""The key: what KMS says of it, and switching it off and on."""
