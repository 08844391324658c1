"""Text is cut and wrapped by what the terminal shows, not by how many characters it has."""

from gateway.ctl.text import cells, clean, keep_ends, keep_head, keep_tail, wrap


def test_what_is_cut_off_leaves_a_mark_where_it_was():
    assert keep_head("kitchen-gateway-01", 10) == "kitchen-g~"
    assert keep_tail("192.168.100.102", 10) == "~8.100.102"
    assert keep_ends("kitchen-gateway-01", 10) == "kitche~-01"


def test_what_fits_is_left_alone():
    for keep in (keep_head, keep_tail, keep_ends):
        assert keep("gw1", 3) == "gw1"


def test_wide_characters_count_twice():
    assert cells("重量") == 4
    assert keep_head("重量重量", 4) == "重~"
    assert wrap("重量重量", 4) == ["重量", "重量"]


def test_words_are_kept_whole_where_they_fit():
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("a longer-than-that b", 6) == ["a", "longer", "-than-", "that b"]
    assert wrap("", 5) == [""]


def test_text_from_outside_is_one_line_without_control_characters():
    assert clean(" a\r\n b\t\x1b[2J\u202e\ud800 ") == "a b ?[2J??"
