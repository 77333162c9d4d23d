"""What is seen from outside: metrics, the log, and the answers over HTTP."""
