"""Why moto 5.2.5 differs from AWS, where one cause explains several cases."""

from typing import Final

OWN_ERRORS: Final = (
    "moto checks the request too little; its own ValueError, KeyError, AssertionError or the like escapes, "
    "where AWS answers ValidationException"
)
UNCHECKED_CONDITION: Final = (
    "moto's DeleteItem takes an empty expression, unused values, empty names and operands of any type"
)
NUMBERS_AS_TEXT: Final = "moto's DynamoType keeps a number as text, as it came and however long"
UNCHECKED_VALUE: Final = "moto's DynamoType takes the first of two types, and sets with equal members"
UNCHECKED_BODY: Final = "moto's SQSBackend checks a body's length and nothing else"
NO_TOKENS: Final = "moto's TransactWriteItems does not read ClientRequestToken"
WHOLE_INVALID: Final = (
    "moto's TransactWriteItems raises ValidationException where AWS cancels with the reason ValidationError"
)
PARTIQL_FILTER: Final = (
    "moto changes the items for which WHERE holds; a condition that does not hold is no failure, "
    "and the key need not be named"
)
PARTIQL_GRAMMAR: Final = (
    "py-partiql-parser's UpdateParser knows one SET or REMOVE of literals and conditions with =; "
    "it fails on the rest, misreads it or leaves it out"
)
