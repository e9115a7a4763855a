"""What explorers print is made of public names: ``ee``, the recordings and their recipes."""

import re

import pytest

from entropic_edu.course import MODULES, chapter

PUBLIC = re.compile(r"entropic_edu(\.recorded(\.[a-z]\w*)?)?")


@pytest.mark.parametrize("number", MODULES)
def test_printed_code_imports_public_names_only(number):
    for name, make in chapter(number).explorers.items():
        explorer = make(0)
        for state in explorer.states():
            for module in re.findall(r"(?:from|import) (entropic_edu\S*)", explorer.code(**state)):
                assert PUBLIC.fullmatch(module), f"{name}: {module}"
