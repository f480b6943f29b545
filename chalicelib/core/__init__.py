"""The pure core: what the IMS decides. No boto3, no clock, no environment."""
