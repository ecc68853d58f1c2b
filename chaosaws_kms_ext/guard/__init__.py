"""May we? Consent, blast radius, backups, permissions and credentials, as findings."""
