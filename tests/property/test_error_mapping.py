"""Every error of the tree has an HTTP status, an exit code, and a way back to itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.api.problems import STATUS, problem_of, status_of
from exchange.cli.client import classes_by_code, error_of
from exchange.cli.exits import BY_ERROR, MEANING, Exit, exit_of
from exchange.hsm.held import DoesNotOpen
from protocol.errors import AlmenaraError, OutcomeUnknown, WrongPassphrase


def family(kind: type[AlmenaraError] = AlmenaraError) -> list[type[AlmenaraError]]:
    """Return a class and everything below it."""
    return [kind, *(below for child in kind.__subclasses__() for below in family(child))]


FAMILY = [kind for kind in family() if kind.__module__ == "protocol.errors"]


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_an_exit_code(kind: type[AlmenaraError]) -> None:
    """A new class may inherit both, but never from the root alone: somebody has decided."""
    assert 400 <= status_of(kind) < 600
    assert exit_of(kind) in MEANING
    if kind is not AlmenaraError:
        ancestors = set(kind.__mro__) - {AlmenaraError}
        assert ancestors & set(STATUS)
        assert ancestors & set(BY_ERROR)


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_no_error_ends_a_command_well(kind: type[AlmenaraError]) -> None:
    """Nor as if it were accepted, or interrupted by a person."""
    assert exit_of(kind) not in (Exit.OK, Exit.NOT_YET, Exit.INTERRUPTED)


def test_codes_are_stable_names_and_each_belongs_to_one_class() -> None:
    """A script may compare codes for ever."""
    codes = [kind.code for kind in FAMILY]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("-", "").isalpha() and code.islower() for code in codes)


def test_every_exit_code_is_explained() -> None:
    """The table that people read has no gap."""
    assert set(MEANING) == set(Exit)
    assert {int(code) for code in Exit} == {0, 1, 2, 3, 4, 5, 6, 75, 130}


@given(kind=st.sampled_from(FAMILY), message=st.text(), hint=st.text(), changes=st.booleans())
def test_an_error_crosses_the_interface_and_is_itself_again(
    kind: type[AlmenaraError], message: str, hint: str, changes: bool
) -> None:
    """Class, sentence and next step survive; so the exit code is the same on both sides."""
    error = error_of(problem_of(kind(message, hint=hint), "request-1"), changes=changes)
    assert type(error) is kind
    assert (error.message, error.hint) == (message, hint)


def test_an_unforeseen_failure_of_a_change_is_an_unknown_outcome() -> None:
    """The node failed in the middle: whether it took the notice is not known."""
    from exchange.api.problems import internal_problem

    assert type(error_of(internal_problem("r"), changes=True)) is OutcomeUnknown
    assert type(error_of(internal_problem("r"), changes=False)) is not OutcomeUnknown
    assert classes_by_code()["outcome-unknown"] is OutcomeUnknown


def test_a_code_belongs_to_the_class_that_named_it_whatever_else_is_loaded() -> None:
    """A kind that only one package knows, and that keeps its parent's code, does not take it over."""
    assert DoesNotOpen.code == WrongPassphrase.code
    assert classes_by_code()[WrongPassphrase.code] is WrongPassphrase
