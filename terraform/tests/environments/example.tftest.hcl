# This runs with each of environments/*.tfvars, to check that it has all values of a stage, and that they fit together.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "complete" {
  assert {
    condition     = output.environment.PRODUCT_TABLE_NAME == "${var.name_prefix}-ProductTable"
    error_message = "the stage's names start with its prefix"
  }
}
