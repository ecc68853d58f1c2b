"""Our side of a load: starts, watches and stops Locust, reads the written rows back."""
