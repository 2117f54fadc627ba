"""Setting up by hand: governance, coordinator, node, officers; every step a function, no terminal.

What leaves a place travels as two kinds of file: ``request.alm`` towards governance, and
``community.alm`` back. Both may be sent over any channel; what must be compared by people is the
root hash and the fingerprint of each request's key.

- ``governance``: a community is founded, and grows; ``taking``: what members have published since
- ``proposing``: what custodians are asked to sign about members; ``custodians``: their own keys, and who
  they are; ``reviewing``: a proposal checked; ``differences``: what it would change
- ``signing``: a custodian signs; ``publishing``: signatures come together
- ``coordinator``: a coordinator is set up, and joins; ``renewing``: its next certificate and statement key
- ``node``: a node is set up; ``joining``: it joins; ``amending``: what its state changes later;
  ``rotating``: its next online keys, with an overlap; ``clearing``: the old ones deleted;
  ``revoking``: one ended at once;
  ``holdings``: what is held beside what is listed; ``checking``: what of that is not as it must be;
  ``succession``: its next identity key; ``attesting``: a member confirms another's key
- ``reconciling``: a restored node's new keys and numbers
- ``handing_in``: a newer community file for a coordinator that runs; ``draining``: it takes its leave;
  ``standing``: how its processes are
- ``requests``: what a request to be admitted asks for, in words
- ``storing``: a shared store brought up to date; ``ledger``: a coordinator's anchor made anew;
  ``auditors``: who may read its ledger
- ``people``: tokens, and officers' keys; ``programs``: programs and displays with tokens
- ``severities``: schemas as states publish them
- ``keyring``: key files made and opened; ``kinds``: which kind of file lies there
- ``files``: public files, and places made whole or not at all
- ``settings_file``: the file of settings; ``words``: what a person types, checked
"""
