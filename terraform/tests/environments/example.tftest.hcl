# Run with each of environments/*.tfvars: they have all that a stage needs, and it fits together.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "complete" {
  assert {
    condition     = output.environment.PRODUCT_TABLE_NAME == "${var.name_prefix}-ProductTable"
    error_message = "the stage is made under its own name"
  }
}
