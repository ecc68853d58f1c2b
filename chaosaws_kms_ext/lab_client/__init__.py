"""Our side of a lab: starts it, masks the environment, orders what it does wrong."""
