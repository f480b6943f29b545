terraform {
  # Validations that look at other variables came with 1.9.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 6.8 is the first to allow SQS messages of 1 MiB.
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
