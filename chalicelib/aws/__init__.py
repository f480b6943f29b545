"""Calls to AWS: error translation, one deadline, one way to retry, and the calls that several stores make."""
