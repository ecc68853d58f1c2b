"""Our side of a lab: starts it, masks the environment, orders misbehaviours, looks for it."""
