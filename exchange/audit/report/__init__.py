"""The report: a verdict as a page that people would rather look at than read.

- ``reading``, ``model``: what is shown of a verdict, and what is left out
- ``words``: a language, its numbers and times; ``terms``, ``rules``: the terms of the field and the
  verifier's codes in it; ``headline``: the verdict in one line
- ``scene``: shapes to SVG; ``charts``: figures to shapes; ``colours``: by meaning, with contrast
- ``html``: the page; ``paper``, ``paper_ledger``: the same content as ``blocks``, on a ``sheet`` that
  ``pdf`` sets as PDF/UA
- ``templates/``: the page, its style sheet, the paper; ``locale/``: a catalogue for each language

Nothing here reads a clock, a disk (but this package) or a network: same verdict, same bytes.
"""
