"""Hashes as people compare them: the words, what checks them, and where two differ."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from protocol.errors import FormatError
from protocol.fingerprint import LINE_WORDS, differences, groups, parse, words
from protocol.wordlist import WORDS

DIGEST = hashlib.sha256(b"a key").digest()


def distance(one: str, other: str) -> int:
    """Return how many letters must be changed, added or left out between two words."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        following = [i]
        for j, right in enumerate(other, start=1):
            following.append(min(row[j] + 1, following[-1] + 1, row[j - 1] + (left != right)))
        row = following
    return row[-1]


def spoken(digest: bytes = DIGEST) -> list[str]:
    return " ".join(words(digest)).split()


def test_there_is_one_word_for_every_byte() -> None:
    """Sorted, so that the printed list can be searched; short, of plain letters."""
    assert len(WORDS) == 256
    assert list(WORDS) == sorted(set(WORDS))
    assert all(word.isascii() and word.isalpha() and word.islower() and 4 <= len(word) <= 8 for word in WORDS)


def test_a_word_is_known_by_its_first_four_letters() -> None:
    """Who types 36 words may stop there."""
    assert len({word[:4] for word in WORDS}) == len(WORDS)
    assert parse(" ".join(word[:4] for word in spoken())) == DIGEST


def test_no_two_words_are_easily_mistaken() -> None:
    """Over a bad line a letter or two are lost."""
    assert all(distance(one, other) >= 3 for one, other in itertools.combinations(WORDS, 2))


def test_no_word_could_be_taken_for_digits() -> None:
    """Whether digits or words were typed is never a guess."""
    assert not any(set(word) <= set("0123456789abcdef") for word in WORDS)


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, bytes(range(32)), DIGEST])
def test_what_is_read_aloud_is_typed_back(digest: bytes) -> None:
    """However it is spaced, in capitals, with commas or line ends."""
    assert parse(groups(digest)) == digest
    assert parse(groups(digest).upper().replace(" ", ":")) == digest
    assert parse("\n".join(words(digest))) == digest
    assert parse(", ".join(spoken(digest)).upper()) == digest


def test_one_wrong_word_is_always_noticed_with_its_line() -> None:
    """Every word at every place, against every other word."""
    right = spoken()
    for place in range(len(right)):
        for wrong in WORDS:
            if wrong == right[place]:
                continue
            heard = [*right[:place], wrong, *right[place + 1 :]]
            with pytest.raises(FormatError, match=f"line {place // LINE_WORDS + 1} of the words is wrong"):
                parse(" ".join(heard))


def test_two_exchanged_words_are_always_noticed() -> None:
    """People exchange neighbours; a plain sum would not see it."""
    for start in range(0, 36, LINE_WORDS):
        for first, second in itertools.combinations(range(start, start + LINE_WORDS), 2):
            heard = spoken()
            heard[first], heard[second] = heard[second], heard[first]
            if heard == spoken():
                continue
            with pytest.raises(FormatError, match="of the words is wrong"):
                parse(" ".join(heard))


def test_two_exchanged_lines_are_always_noticed() -> None:
    """The check of a line knows which line it is."""
    for first, second in itertools.combinations(range(4), 2):
        lines = list(words(bytes(32)))
        lines[first], lines[second] = lines[second], lines[first]
        with pytest.raises(FormatError, match=f"line {first + 1} of the words is wrong"):
            parse(" ".join(lines))


def test_an_unknown_word_is_named_with_its_place() -> None:
    """It was misheard or mistyped, and cannot be guessed."""
    heard = spoken()
    heard[6] = "rhinoceros"
    with pytest.raises(FormatError, match="word 7, 'rhinoceros', is not in the list"):
        parse(" ".join(heard))


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, " ".join(spoken()[:35]), " ".join(spoken()[:18])])
def test_a_part_of_a_hash_is_no_hash(text: str) -> None:
    """What is pinned is the whole of it."""
    with pytest.raises(FormatError, match="a hash has"):
        parse(text)


def test_the_same_has_no_differences_in_any_form() -> None:
    """All of it, or the first half of it, in digits or in words."""
    digits, said = groups(DIGEST).split(), spoken()
    for heard in (digits, digits[:4], said, said[:18]):
        assert differences(DIGEST, " ".join(heard)) == []
    assert differences(DIGEST, DIGEST.hex().upper()) == []


def test_a_wrong_group_is_named() -> None:
    """The person asks for that group again."""
    heard = groups(DIGEST).split()
    heard[4] = "00000000"
    (found,) = differences(DIGEST, " ".join(heard))
    assert found == f"group 5 is {groups(DIGEST).split()[4]} here, and 00000000 there"


def test_a_wrong_word_is_named() -> None:
    """Of all 36, and where only half was read out; also one that is no word at all."""
    for heard in (spoken(), spoken()[:18]):
        heard[9] = "rhinoceros"
        (found,) = differences(DIGEST, " ".join(heard))
        assert found == f"word 10 is {spoken()[9]} here, and rhinoceros there"


def test_what_is_missing_or_too_much_differs() -> None:
    """An end that was not read out is not a match, and neither is one word more."""
    assert differences(DIGEST, " ".join(spoken()[:35])) == [
        f"word 36 is {spoken()[35]} here, and nothing there"
    ]
    assert differences(DIGEST, " ".join([*spoken(), "zorro"])) == ["word 37 is nothing here, and zorro there"]


@pytest.mark.parametrize("heard", ["", "ab", groups(DIGEST)[:26], " ".join(spoken()[:17])])
def test_less_than_half_is_no_comparison(heard: str) -> None:
    """Few digits are soon found by somebody who makes keys until they fit."""
    with pytest.raises(FormatError, match="are the least that is compared"):
        differences(DIGEST, heard)
