"""Our side of a load: it starts, watches and stops Locust, and reads the written rows back."""
