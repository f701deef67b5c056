"""Texts that others have given: cut, on one line, and without what steers a terminal."""

import pytest

from bench import text


def test_a_name_is_cut_by_its_bytes_and_in_no_letter() -> None:
    assert text.cut("é" * 50, 7) == "é" * 3
    assert text.cut("abc", 3) == "abc"
    assert len(text.cut("ü" * 500).encode()) == text.LONGEST


def test_a_text_that_fits_its_width_stays_whole() -> None:
    assert [text.clip("abcde", width) for width in (4, 5, 6)] == ["abc…", "abcde", "abcde"]


def test_an_error_is_one_line_that_ends() -> None:
    assert text.said(ValueError("one\n  and two")) == "ValueError: one and two"
    assert text.said(KeyboardInterrupt()) == "KeyboardInterrupt: no message"
    assert text.said(ValueError("x" * 1000)) == "ValueError: " + "x" * 300


STRAY = "\x00\x1b\x7f\x9b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ud800\udfff\u061c\ufeff\U000e0001\U000e007f"


@pytest.mark.parametrize("stray", STRAY, ids=ascii)
def test_what_steers_a_terminal_is_shown_as_a_mark(stray: str) -> None:
    assert text.printable(f"a{stray}b") == "a\N{REPLACEMENT CHARACTER}b"
    assert text.printable_json({stray: [stray, 3, None]}) == {
        "\N{REPLACEMENT CHARACTER}": ["\N{REPLACEMENT CHARACTER}", 3, None]
    }


def test_letters_of_all_languages_stay_and_lines_become_one() -> None:
    assert text.printable("é ∞ 中 א\r\n\tend") == "é ∞ 中 א end"


def test_a_checksum_is_twelve_letters_or_digits() -> None:
    assert text.short("ab-1\x1b2" * 9) == "ab12ab12ab12"
    assert text.short(None) == "None"


@pytest.mark.parametrize("error", [RecursionError, MemoryError, OverflowError, SyntaxError])
def test_whatever_a_reader_raises_is_a_value_error_that_says_something(error: type[Exception]) -> None:
    def read(_: object) -> None:
        raise error

    with pytest.raises(ValueError, match=r"\w"):
        text.decode(read, "")


def test_a_hint_is_the_nearest_word_or_all_of_them_in_order() -> None:
    assert text.hint("vanila", ["beta", "vanilla"]) == "did you mean 'vanilla'?"
    assert text.hint("xyz", ["b", "c", "a"]) == "choose from a, b, c"
    assert text.did_you_mean("vanila", ["vanilla"]) == ", did you mean 'vanilla'?"
    assert text.did_you_mean("xyz", ["vanilla"]) == ""
