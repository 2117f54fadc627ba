"""The words: what states say to each other, byte for byte. Nothing but bytes.

Same bytes, same answer: no clock, no randomness, no disk, no network, no secret. Each format has a
page in ``spec/``; why some things are as they are stands in ``decisions/``.

What everything stands on:

- ``errors``: the one tree of errors, with the operator's next step; ``peer_codes``: what a peer is told
- ``fields``: the field types with their bounds, and ``Wire``, the base of every structure
- ``codec``: strict canonical MessagePack, the only reader and writer of wire bytes; ``typed``: its
  short way for what is plainly canonical
- ``text``: hexadecimal, base64 and times as text, the only reader of them
- ``digest``: tagged hashes; the ids of keys and certificates
- ``fingerprint``: a hash as people compare it, in groups of digits or in words; ``wordlist``: the words
- ``tree``: Merkle trees, for batch signatures and for the ledger
- ``signed``: what exactly a signature covers: context, batch, proof
- ``suite``: the ids of cryptographic suites, and the sizes they fix

What is said:

- ``notice``: header, manifest and body; ``envelope``: the same sealed, as submitted and as delivered
- ``statement``: signed facts about an envelope; ``delivery``: what follows from them for a recipient
- ``disclosure``: a notice handed to an auditor with its key
- ``marking``: TLP and the exercise mark
- ``severity``: national schemas and the tag that quotes one; ``reference``: how people write a level;
  ``translation``: a level in another schema's words; ``urgency``: what a level sets in motion

What is kept of it, so that anyone can check it later:

- ``ledger``: leaves, checkpoints, cosignatures, tiles and proofs, as C2SP writes them

Who may say it, and over which line:

- ``documents``: root, directory, manifest, prekey list, publication; ``enrolment``: requests to join
- ``governance``: proposals, custodians' signatures and keys, members' attestations
- ``session``: the conversation of a node and a coordinator
"""
