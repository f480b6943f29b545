import pytest

from bench.goals import Goal, at_least, at_most, verdicts

VALUES = [(3.0, "a row"), (2.0, "another row")]


def test_a_goal_that_is_the_least_names_the_row_of_the_least_value() -> None:
    assert at_least("speed", 2.5, VALUES) == [Goal("speed", 2.5, 2.0, "another row", most=False)]


def test_a_goal_that_is_the_most_names_the_row_of_the_greatest_value() -> None:
    assert at_most("cost", 2.5, VALUES) == [Goal("cost", 2.5, 3.0, "a row", most=True)]


def test_a_goal_without_values_is_left_out() -> None:
    assert at_least("speed", 1, []) == at_most("cost", 1, []) == []


@pytest.mark.parametrize(
    ("worst", "least", "most"), [(1.9, False, True), (2.0, True, True), (2.1, True, False)]
)
def test_a_goal_is_met_on_the_right_side_of_its_bound(worst: float, least: bool, most: bool) -> None:
    assert [goal.met for goal in at_least("speed", 2, [(worst, "a row")])] == [least]
    assert [goal.met for goal in at_most("cost", 2, [(worst, "a row")])] == [most]


def test_the_table_of_goals_says_whether_each_is_met() -> None:
    text = verdicts([*at_least("speed", 1, VALUES), *at_most("cost", 1, VALUES)])

    assert [line.split("|")[1:-1] for line in text.replace(" ", "").splitlines()][2:] == [
        ["speed", "≥1", "2.00", "yes", "anotherrow"],
        ["cost", "≤1", "3.00", "NO", "arow"],
    ]
