"""Who may say the words: secrets and randomness. No clock, no disk, no network.

Signing:

- ``signature``: the composite signature itself, and the admission of keys
- ``signer``: who may sign what, by role and context, in batches; proofs of possession

Sealing, which the coordinator's code cannot reach:

- ``wrap``: a content key sealed to one recipient; ``payload``: the padded, committing encryption
- ``sealing``: seal an envelope, open one whose wrap was opened; ``detail``: an officer's note
- ``calendar``: which daily keys there are

Secret keys to which others seal, which the code of a node that speaks to the network cannot reach:

- ``opening``: unwrap with one key; ``prekeys``: daily keys made

Trust:

- ``trust``: the rules by which documents are believed; ``governors``: those for root and directory;
  ``members``: those for what states sign; ``chain``: those for every document: one version after
  another, one owner per key
- ``held``: what is trusted at one moment, as a value; ``roster``: looking up who may do what in it
- ``documents``: signing documents, and counting who signed; ``governance``: what governance makes;
  ``enrolment``: what a member makes; ``attesting``: members that confirm a newcomer's key

The ledger:

- ``note_keys``: raw keys of logs and witnesses; ``quorum``: whether enough of them signed a checkpoint
- ``cosigning``: a witness's judgement of the next checkpoint

Judging what arrives, without opening it:

- ``authenticity``: envelopes; ``evidence``: statements, made and verified
- ``receipt``: a whole notice's way, from the pinned root hash alone

At rest:

- ``keyfile``: a key as text; ``protection``: how its secret is protected
- ``token_uri``: the name of keys in a PKCS#11 token
- ``vault``: rows in a store; ``daylock``: what is locked under a key of one day
"""
