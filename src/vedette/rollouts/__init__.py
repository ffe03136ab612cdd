"""Taking a version live step by step: the spec, the state machine, the gates, and the one pure step of the loop."""
