"""The page of faults holds a row for each test that there is, and says nothing that no run has shown."""

import table


def test_the_page_lists_the_tests_that_there_are():
    found = table.read()
    assert found.keys() == {row.test for row in table.rows()}
    for row in table.rows():
        fault, promise, tried, survived, lost = found[row.test]
        assert (fault, promise, tried) == (row.fault, row.promise, row.trials), row.test
        assert (survived, lost) == (row.trials, 0), row.test


def test_every_test_of_a_fault_is_marked():
    assert table.unmarked() == []
    assert len(table.rows()) > 20
