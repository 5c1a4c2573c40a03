"""When an object counts as ready: a pure state machine a kind, and one loop that feeds it from watches."""
