"""A schema that no file could fit is rejected, by the name of the setting in include/config.py and with the cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.errors import ConfigurationError
from include.schema import Categorical, Numeric, Schema

SCHEMA = Schema({"sex": Categorical(("f", "m")), "age": Numeric(0, 30), "tail": Numeric()}, "tail", "tail length", "cm")


def test_the_columns_by_kind():
    schema = replace(SCHEMA, row_number="case")

    assert schema.categorical == ["sex"]
    assert schema.numeric == ["age"]
    assert schema.inputs == ["sex", "age"]
    assert schema.names == ["sex", "age", "tail", "case"]


@pytest.mark.parametrize("name", ["self", "class", "a b", "{{ x }}", "index"])
def test_any_text_may_be_the_name_of_a_column(name):
    assert Schema({"x": Numeric(), name: Numeric()}, name, "y", "cm").target == name


REJECTED = {
    "no such target": ({"target": "length"}, "TARGET", "Name one that it has"),
    "labels as the target": ({"target": "sex"}, "TARGET", "Name one that it has"),
    "a list for the columns": ({"columns": ["sex", "tail"]}, "COLUMNS", "Make it a dictionary"),
    "the target alone": ({"columns": {"tail": Numeric()}}, "COLUMNS", "Add the columns"),
    "a row number that is a column": ({"row_number": "age"}, "ROW_NUMBER", "take it out of COLUMNS"),
    "an empty row number": ({"row_number": ""}, "ROW_NUMBER", "not empty"),
    "a row number named like a prediction": ({"row_number": "true"}, "ROW_NUMBER", "Rename the column"),
    "a row named like a prediction": ({"row": "predicted"}, "ROW", "another word"),
    "no categories": ({"max_categories": 0}, "MAX_CATEGORIES", "an integer from 1 on"),
    "a text for a number of categories": ({"max_categories": "9"}, "MAX_CATEGORIES", "an integer from 1 on"),
}
COLUMNS = {
    "an empty name": ("", Numeric(), "not empty"),
    "spaces around a name": ("age ", Numeric(), "no spaces around"),
    "a number as a name": (1, Numeric(), "is text"),
    "bounds in the wrong order": ("x", Numeric(30, 0), "the lower one first"),
    "a bound that is not a number": ("x", Numeric(float("nan")), "the lower one first"),
    "a text as a bound": ("x", Numeric("0", 30), "two numbers"),
    "a class for a column": ("x", Numeric, r"Numeric\(\) or Categorical\(\)"),
    "a label twice": ("x", Categorical(("f", "m", "f")), "2 times. Keep one"),
    "an empty label": ("x", Categorical(("f", "")), "not empty"),
    "spaces around a label": ("x", Categorical(("f", "m ")), "no spaces around"),
    "a whole number with decimals": ("x", Categorical(("1.0", "2.0")), "Write whole numbers without decimals"),
    "numbers as labels": ("x", Categorical((1, 2)), "tuple of text"),
    "one text as labels": ("x", Categorical("fm"), "tuple of text"),
    "more labels than may be": ("x", Categorical(tuple(map(str, range(101)))), r"raise MAX_CATEGORIES \(100\)"),
}
REJECTED |= {
    case: ({"columns": {**SCHEMA.columns, name: column}}, "COLUMNS", cure)
    for case, (name, column, cure) in COLUMNS.items()
}


def test_labels_without_parentheses_of_their_own_are_rejected():
    with pytest.raises(
        ConfigurationError, match=r"^COLUMNS in include/config.py has Categorical\('f', 'm'\), .*Write "
    ) as error:
        Categorical("f", "m")

    assert str(error.value).endswith("Write Categorical(('f', 'm')).")


@pytest.mark.parametrize(("change", "setting", "cure"), REJECTED.values(), ids=REJECTED)
def test_a_schema_that_cannot_be_used_is_rejected(change, setting, cure):
    with pytest.raises(ConfigurationError, match=rf"(?s)^{setting} in include/config.py .*{cure}"):
        replace(SCHEMA, **change)
