terraform {
  # Version 1.9 is the first in which a validation can use other variables.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Version 6.8 is the first that allows SQS messages of 1 MiB.
      version = ">= 6.8, < 7"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ Application = "IMS", Stage = var.name_prefix, ManagedBy = "Terraform" }, var.tags)
  }
}
