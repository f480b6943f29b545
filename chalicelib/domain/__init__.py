"""What the IMS knows and decides. Pure: no boto3, no clock, no environment, no formats of the wire."""
