"""Canaries: what else the key protects is tried each second, to see when it fails and is back."""
