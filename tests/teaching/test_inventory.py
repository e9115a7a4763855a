"""The concept inventory: two parallel forms, named misconceptions, and a page that saves answers here alone."""

import json

import pytest

pytest.importorskip("ipywidgets", reason="the page needs ipywidgets")

from entropic_edu.teaching import inventory
from entropic_edu.teaching.inventory import FORMS, ITEMS, LESSONS, RIGHT, UNSURE, Sheet
from entropic_edu.teaching.inventory_page import Inventory


def test_there_are_twelve_items_and_each_wrong_option_is_a_named_misconception_of_a_lesson():
    assert len(ITEMS) == 12
    wrong = {option for options in ITEMS.values() for option in options if option != RIGHT}
    assert wrong == set(LESSONS)
    for options in ITEMS.values():
        assert len(set(options)) == 4
        assert options.count(RIGHT) == 1
    assert set(LESSONS.values()) <= {f"{number:02}" for number in range(11)}
    assert len({inventory.misconception(key)["says"] for key in LESSONS}) == len(LESSONS)


def test_files_of_the_first_version_are_read_and_no_other(tmp_path):
    file = tmp_path / "inventory-before-kiwi7.json"
    found = {"kind": "entropic_edu inventory", "format": 1, "code": "kiwi7", "when": "before", "form": "A"}
    found["answers"] = dict.fromkeys(ITEMS, UNSURE) | {next(iter(ITEMS)): RIGHT}
    for changed in ({}, {"format": 0}, {"format": 2}, {"kind": "inventory"}):
        file.write_text(json.dumps(found | changed))
        if changed:
            with pytest.raises(ValueError, match=r"Wanted \"format\": 1|say \"kind\""):
                inventory.read(file)
        else:
            assert inventory.read(file) == Sheet("kiwi7", "before", "A", found["answers"])
            assert inventory.read(file).score == 1


@pytest.mark.parametrize("item", ITEMS)
def test_both_forms_ask_the_same_misconceptions_in_other_words(item):
    asked = {form: [inventory.words(item, form, key) for key in ("ask", *ITEMS[item])] for form in FORMS}
    assert all(len(set(words)) == 5 for words in asked.values())
    assert not set(asked["A"]) & set(asked["B"])
    assert inventory.options(item, "A") == ITEMS[item] == inventory.options(item, "B")[::-1]


def test_neither_place_nor_length_gives_the_right_option_away():
    for form in FORMS:
        places = [inventory.options(item, form).index(RIGHT) for item in ITEMS]
        assert set(places) == {0, 1, 2, 3}
        assert max(map(places.count, places)) <= 5
        longest = [max(ITEMS[item], key=lambda key, i=item: len(inventory.words(i, form, key))) for item in ITEMS]
        assert longest.count(RIGHT) <= 4


@pytest.fixture
def asked(tmp_path):
    """The form of before, filled in but for the code."""
    page = Inventory("before", folder=tmp_path)
    for item in ITEMS:
        page.choose(item, UNSURE)
    return page


def test_saved_answers_are_read_again_and_hold_nothing_else(asked, tmp_path):
    asked.choose("luck", RIGHT)
    asked.code.value = " kiwi-7 "
    assert "Nothing was sent" in asked.save()
    sheet = inventory.read(tmp_path / "inventory-before-kiwi-7.json")
    assert sheet == Sheet("kiwi-7", "before", "A", dict.fromkeys(ITEMS, UNSURE) | {"luck": RIGHT})
    kept = json.loads((tmp_path / "inventory-before-kiwi-7.json").read_text())
    assert set(kept) == {"kind", "format", "code", "when", "form", "answers"}


def test_a_click_says_what_is_missing_and_saves_nothing(tmp_path):
    page = Inventory("before", folder=tmp_path)
    page.choose("luck", UNSURE)
    page.save_button.click()
    assert "11 questions have no answer yet; the first is number 2" in page.status.value
    assert 'role="alert"' in page.status.value
    for item in ITEMS:
        page.choose(item, UNSURE)
    page.code.value = "Ann Other"
    page.save_button.click()
    assert "A code is 2 to 32 letters" in page.status.value
    assert not list(tmp_path.iterdir())
    page.code.value = "ann"
    page.save_button.click()
    assert [file.name for file in tmp_path.iterdir()] == ["inventory-before-ann.json"]
    assert page.save_button.disabled


def test_the_first_answers_stay(asked, tmp_path):
    asked.code.value = "ann"
    asked.save()
    again = Inventory("before", folder=tmp_path)
    for item in ITEMS:
        again.choose(item, RIGHT)
    again.code.value = "ann"
    again.save_button.click()
    assert "exists already and is kept" in again.status.value
    assert inventory.read(tmp_path / "inventory-before-ann.json").score == 0


def test_before_the_course_no_score_is_told_and_after_it_the_number_alone(asked, tmp_path):
    asked.code.value = "ann"
    assert "You have" not in asked.save()
    after = Inventory("after", folder=tmp_path)
    assert after.form == "B"
    for item in ITEMS:
        after.choose(item, RIGHT)
    after.code.value = "ann"
    assert "You have 12 of 12 right; before the course it was 0." in after.save()
    (tmp_path / "inventory-before-ann.json").write_text("[]")
    (tmp_path / "inventory-after-ann.json").unlink()
    assert after.save().endswith("You have 12 of 12 right.")


def test_a_folder_that_cannot_be_written_is_said(asked, tmp_path):
    (tmp_path / "file").write_text("")
    asked.folder, asked.code.value = tmp_path / "file", "ann"
    asked.save_button.click()
    assert "Nothing was saved. Could not write" in asked.status.value


def test_senseless_arguments_are_refused_in_words(tmp_path):
    with pytest.raises(ValueError, match=r'"when" is "before" or "after"; got \'between\''):
        Inventory("between", form="A")
    with pytest.raises(ValueError, match='"form" is "A" or "B"'):
        Inventory("before", form="C")
    page = Inventory("before")
    with pytest.raises(ValueError, match=r"The items are luck, .*; got 'lack'"):
        page.choose("lack", RIGHT)
    with pytest.raises(ValueError, match=r"The options of 'luck' are .*; got 'downhill'"):
        page.choose("luck", "downhill")


def test_without_widgets_it_says_what_it_is():
    assert "Concept inventory, before the course: 12 questions" in repr(Inventory("before"))
