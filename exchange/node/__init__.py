"""A state's own end: sends, receives, and lets its named officers answer.

Out:

- ``outbox``: what is asked becomes a sealed notice that a crash cannot lose; ``requests``: what may
  be asked; ``sealer``: numbers envelopes and seals them, round by round; ``sealing_round``: how a round
  becomes durable; ``company``: why a round waits a moment under load
- ``choosing``: the key to seal to, or why there is none; ``resealer``: seals for those who wait for
  one, and again what could not be opened; ``again``: who that is
- ``courier``: keeps the session, for ever, and carries everything; ``addresses``: where it tries next;
  ``backoff``: how long it waits; ``answers``: what the coordinator answered; ``tls_files``: this node's
  certificates

In:

- ``inbox``: takes what is delivered, round by round; ``incoming``: what that is; ``records``: what was
  found; ``delivery_round``: how a round becomes durable; ``receipt_round``: the receipts among it
- ``openings``: an envelope verified and opened; ``unsealing``: the part of it that another process does
- ``receipts``: statements about our own notices
- ``mirror``: the community's documents; ``selfwatch``: what others are told about this state;
  ``prekeeper``: daily keys, published and destroyed

The ledger, of which this node is a witness:

- ``ledger``: kept up to date over each session; ``witness``: cosigns, and never goes back
- ``places``: where statements stand, proved; ``promises``: what is owed and overdue; ``watch``: since when
  this node may say so
- ``comparing``: every checkpoint against every other; ``heads``: the newest verified ones
- ``contradictions``: statements that cannot all be true; ``evidence``: files that prove a lie
- ``proofs``: receipts that verify for ever; ``telling``: what they say in words; ``standing``: how the
  ledger stands; ``freshness``: when the directory was last witnessed

People:

- ``desk``: everything that may be asked of a node, behind every face; ``tokens``: who may ask
- ``shedding``: what is no longer taken, so that what was taken is kept
- ``at_recipients``: where a notice stands, whatever number of envelopes it took
- ``officers``: a person's own signature; ``chains``: statements that continue a key's chain
- ``disclosing``: one notice opened for an auditor
- ``schemas``: severity in the sender's words and the reader's; ``milestones``: what can be waited for
- ``doubts``: what a thief may have signed, by what is known now; ``exposure``: what one key touched, shown
  as ``exposure_views``; ``withdrawn``: another member's key counts no more
- ``showing``: stored rows as ``views``, which is all that faces see; ``health``: how the node is

Shared:

- ``restored``: a node whose store is an older copy signs nothing
- ``context``: who the node is, with its clock, store and keys; ``secrets``: unlocking the keys
- ``signing``: which key signs now, of several whose windows overlap; ``key_files``: what they are called;
  ``keykeeper``: takes up new ones; ``expiring``: tells what ends;
  ``papers``: documents at the desk, shown as ``paper_views``
- ``summary``: content as it lies in the store; ``link_state``: how the link stands
- ``suspended``: states that are suspended, and what waits for them
- ``bell``: something may be new; ``together``: tasks that live and die together
- ``service``: puts the parts together
"""
