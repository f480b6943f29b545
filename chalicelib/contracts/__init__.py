"""What is on the wire: public pydantic models, one per shape, and how requests and messages are checked."""
