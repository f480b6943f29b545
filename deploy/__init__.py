"""Builds what Terraform deploys."""
