"""Reasons why moto 5.2.5 differs from AWS that several tests share."""

from typing import Final

OWN_ERRORS: Final = (
    "moto does not check the request enough; it raises a ValueError, KeyError, AssertionError or the like, "
    "where AWS answers ValidationException"
)
UNCHECKED_CONDITION: Final = (
    "moto's DeleteItem accepts an empty expression, unused values, empty names and operands of any type"
)
NUMBERS_AS_TEXT: Final = "moto's DynamoType keeps a number as the given text, of any length"
UNCHECKED_VALUE: Final = "moto's DynamoType accepts the first of two types, and sets with equal members"
UNCHECKED_BODY: Final = "moto's SQSBackend checks a body's length and nothing else"
NO_TOKENS: Final = "moto's TransactWriteItems does not read ClientRequestToken"
UNCHECKED_KEYS: Final = "moto's Query does not check the operators and values of a key condition enough"
UNCHECKED_INDEX: Final = "moto checks the type of an index's key only in some writes"
WHOLE_INVALID: Final = (
    "moto's TransactWriteItems raises ValidationException where AWS cancels with the reason ValidationError"
)
