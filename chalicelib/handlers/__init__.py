"""What Lambda calls beside REST: an event in, a response out."""
